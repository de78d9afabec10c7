"""What gates keep inside of a layer, where no step after it can tell."""

from typing import Any

import keras
import numpy as np

from keras_dynamicgate import graph
from keras_dynamicgate.compaction.calibration import Calibration, gate_state
from keras_dynamicgate.compaction.flat_model import Step
from keras_dynamicgate.compaction.gated_rules import Gated
from keras_dynamicgate.compaction.rule import Rule
from keras_dynamicgate.layers.dynamic_gate_mlp import DynamicGateMLP
from keras_dynamicgate.layers.gated_layer import GatedLayer

ALWAYS_OPEN = "always open, but a layer is gated as a whole and other blocks of it are not"


def kept_by_gates(step: Step, calibration: Calibration | None) -> Any:
    """List the units of gated layers that stay as they are: closed, or gated but always open.

    Args:
        step: An analysed `Step`.
        calibration: A `Calibration` or `None`.

    Returns:
        List of tuples: the name of the gated layer, a boolean array of its units, the name of the
        layer that keeps them and the reason.
    """
    if step.gates is None:
        # Gated layers in a layer that is taken as it is, such as a wrapper, or that layer itself.
        gates = [(each, ~gate_state(each.gate, calibration).ever) for each in _gated(step)]
        kept = [(layer, closed, step.rule.reason) for layer, closed in gates]
    else:
        layer, always = step.operation, step.gates.always
        if isinstance(step.rule, Gated):
            always = always & step.rule.open_gates(step)
        kept = [(layer, always, ALWAYS_OPEN)]
        if isinstance(layer, DynamicGateMLP) and type(step.rule) is Rule:
            kept.append((layer, ~step.gates.ever, step.rule.reason))
    return [
        (
            step.name if layer is step.operation else layer.name,
            np.repeat(mask, layer.block_size),
            step.name,
            reason,
        )
        for layer, mask, reason in kept
    ]


def _gated(step: Step) -> list[GatedLayer]:
    """List the gated layers in the operation of a step, itself included."""
    operation = step.operation
    if not isinstance(operation, keras.layers.Layer):
        return []
    layers = graph.all_layers(operation, include_self=True)
    return [each for each in layers if isinstance(each, GatedLayer) and each.gate is not None]
