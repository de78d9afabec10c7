"""The parts of `gate_model` and `skip_experts`.

- `gate_model.py`: the function itself.
- `survey.py`: what a model is made of, and which of its layers can be gated.
- `inside.py`: which layers inside composite layers, such as transformer blocks, are worth a gate.
- `activated.py`: which of them close others by their activation, as in SwiGLU.
- `choice.py`: which layers are gated, with which gate arguments.
- `copies.py`: the copy of the model, with gated layers in it.
- `gated_composite.py`: a composite layer with gated layers in it.
- `gated_model.py`: a model of a class of its own with gated layers in it.
- `made_anew.py`: such models made anew of their config.
- `places.py`: where a composite layer holds the layers inside it.
- `configs.py`: configs of layers, also of those that cannot give theirs.
- `calibration.py`: gates that start from what their layers do on data.
- `regression.py`: gate networks that predict which blocks matter.
- `skip_experts.py`: `skip_experts` itself.
- `expert_banks.py`: the banks of experts in a model, found by what they are.
"""
