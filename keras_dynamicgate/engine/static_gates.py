"""Static gates in the engine: what they close at every price, and what at some."""

from typing import Any

import numpy as np
from keras import ops

from keras_dynamicgate.engine import steps
from keras_dynamicgate.engine.layer_steps import weight
from keras_dynamicgate.gating import masks
from keras_dynamicgate.gating.price_table import PRICE
from keras_dynamicgate.layers.gated_layer import GatedLayer

# `plan.py` imports those who import this file.
Planner = Any
Tensor = Any

FARTHEST = float(np.finfo("float32").max)


class StaticGates:
    """The units of a layer that its static gates close.

    What is closed at every budget that the model was trained for has no place in the engine. What
    is closed at some of them is shut in each call by the price of its budget.

    Args:
        layer: A gated layer with static gates.

    Attributes:
        ever_open: Boolean array of shape `(units,)`, the units that are open at some budget.
        differ: Whether budgets differ in what they leave open.
    """

    def __init__(self, layer: GatedLayer) -> None:
        self._gate = gate = layer.gate
        self.differ = False
        rows = gate.price_table.rows()
        if not len(rows):
            self.ever_open = np.repeat(gate.static_mask(), layer.block_size)
        else:
            self._margins = np.repeat(_margins(gate), layer.block_size)
            prices = np.append(rows[:, PRICE], weight(gate.price))
            self.ever_open = self._margins > prices.min()
            self.differ = bool((self._margins[self.ever_open] <= prices.max()).any())

    def shut(self, planner: Planner, tensor: Tensor) -> Tensor:
        """Add the step that shuts what the price of a call closes, if budgets differ."""
        if self.differ:
            present = tensor.layout.columns >= 0
            margins = np.full(tensor.layout.width, FARTHEST, "float32")
            margins[tensor.layout.columns[present]] = self._margins[present]
            planner.plan.steps.append(steps.Shut(tensor.buffer, margins, planner.price(self._gate)))
        return tensor


def _margins(gate: Any) -> np.ndarray:
    """Give how far the logits of static gates lie above the threshold, by their temperature."""
    logits = ops.convert_to_numpy(gate.network(np.zeros((1, 1), "float32"))).reshape(-1)
    threshold = masks.logit(float(weight(gate.threshold)))
    margins = logits / weight(gate.temperature) - np.float32(threshold)
    fewest = masks.fewest_open(gate.min_open, gate.gates)
    margins[np.argsort(-logits, kind="stable")[:fewest]] = FARTHEST
    return margins.astype("float32")
