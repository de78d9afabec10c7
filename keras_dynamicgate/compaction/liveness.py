"""Which features of a model's tensors are constant, which are needed and which are kept."""

from typing import Any

import keras

from keras_dynamicgate.compaction.choice import choose_rules
from keras_dynamicgate.compaction.flat_model import Step
from keras_dynamicgate.compaction.rule import Whole


def analyse(steps: list[Step], outputs: Any) -> None:
    """Choose the rules of all steps and fill in what their slots and wants are.

    Args:
        steps: List of `Step`, producers before consumers.
        outputs: List of the slots that are the outputs of the model.
    """
    choose_rules(steps)
    _pass(steps, outputs)
    if not any(_makes_timestep_masks(step.operation) for step in steps):
        return
    # Keras's timestep masks do not survive a take, so where one would be needed, all stays.
    while takes := [step for step in steps if step.alive and needs_take(step)]:
        for step in takes:
            step.rule = Whole(step.rule, "a take would lose the model's timestep mask")
        _pass(steps, outputs)


def needs_take(step: Step) -> bool:
    """Tell whether a step reads fewer features of an input than the new model computes."""
    return any(
        want.any() and (want != slot.kept).any()
        for want, slot in zip(step.wants, step.inputs, strict=True)
    )


def _pass(steps: list[Step], outputs: Any) -> None:
    for step in steps:
        for slot, constants in zip(step.outputs, step.rule.constants(step), strict=True):
            slot.constants = constants
            slot.needed = ~slot.all()
    for slot in outputs:
        slot.needed = slot.all()
    for step in reversed(steps):
        step.wants = []
        if step.alive:
            step.wants = step.rule.wants(step)
            for slot, want in zip(step.inputs, step.wants, strict=True):
                slot.needed = slot.needed | want
    for step in steps:
        if step.alive:
            for slot, kept in zip(step.outputs, step.rule.keeps(step), strict=True):
                slot.kept = kept


def _makes_timestep_masks(operation: Any) -> bool:
    return isinstance(operation, keras.layers.Masking) or getattr(operation, "mask_zero", False)
