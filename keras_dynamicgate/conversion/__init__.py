"""The parts of `gate_model`.

- `gate_model.py`: the function itself.
- `survey.py`: what a model is made of, and which of its layers can be gated.
- `choice.py`: which layers are gated, with which gate arguments.
- `copies.py`: the copy of the model, with gated layers in it.
- `calibration.py`: gates that start from what their layers do on data.
- `regression.py`: gate networks that predict which blocks matter.
"""
