"""The parts of `compact`.

- `calibration.py`: what each gate of the model can do.
- `steps.py`: the model as a flat list of plain steps.
- `rule.py`, `*_rules.py`: what each kind of step does to closed units.
- `liveness.py`: which units are constant, and which are needed.
- `rebuild.py`: the smaller model.
- `kept_gates.py`: what gates keep inside of a layer.
- `report.py`: what went, what stayed and why.
"""
