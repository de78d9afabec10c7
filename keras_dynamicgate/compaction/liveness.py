"""Which features of a model's tensors are constant, which are needed and which are kept."""

from typing import Any

import keras
import numpy as np

from keras_dynamicgate.compaction.choice import choose_rules
from keras_dynamicgate.compaction.flat_model import Slot, Step
from keras_dynamicgate.compaction.rule import Whole, at_least_one


def analyse(steps: list[Step], outputs: Any) -> None:
    """Choose the rules of all steps and fill in what their slots and wants are.

    Args:
        steps: List of `Step`, producers before consumers.
        outputs: List of the slots that are the outputs of the model.
    """
    choose_rules(steps)
    has_masks = any(_makes_timestep_masks(step.operation) for step in steps)
    _pass(steps, outputs, put_back=not has_masks)
    if not has_masks:
        return
    # Keras's timestep masks do not survive a take, so where one would be needed, all stays.
    while takes := [step for step in steps if step.alive and needs_take(step)]:
        for step in takes:
            step.rule = Whole(step.rule, "a take would lose the model's timestep mask")
        _pass(steps, outputs, put_back=False)


def needs_take(step: Step) -> bool:
    """Tell whether a step reads fewer features of an input than the new model computes."""
    return any(
        want.any() and (want != slot.kept).any()
        for want, slot in zip(step.wants, step.inputs, strict=True)
    )


def _pass(steps: list[Step], outputs: Any, put_back: bool) -> None:
    for step in steps:
        spares = put_back and step.rule.spares(step)
        for slot, constants in zip(step.outputs, step.rule.constants(step), strict=True):
            slot.constants = constants
            slot.spares = spares
            slot.put_back = ~at_least_one(~slot.known) if spares else ~slot.all()
            slot.needed = ~slot.all()
    for slot in outputs:
        _need(slot, slot.all())
    for step in reversed(steps):
        step.wants = []
        if step.alive:
            step.wants = step.rule.wants(step)
            for slot, want in zip(step.inputs, step.wants, strict=True):
                _need(slot, want)
    for step in steps:
        if step.alive:
            for slot, kept in zip(step.outputs, step.rule.keeps(step), strict=True):
                slot.kept = kept


def _need(slot: Slot, want: np.ndarray) -> None:
    """Note that a step reads features, all of which are computed but those that are put back."""
    needed = slot.needed | (want & ~slot.put_back)
    if want.any() and not needed.any():
        needed[np.argmax(want)] = True
    slot.needed = needed


def _makes_timestep_masks(operation: Any) -> bool:
    return isinstance(operation, keras.layers.Masking) or getattr(operation, "mask_zero", False)
