"""What a version must keep to before it is published: the masks of the reference, and the cost."""

from typing import Any

import keras
import numpy as np

from keras_dynamicgate.gating.record import record_batches
from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.macs.model_cost import model_cost
from keras_dynamicgate.utils.types import Inputs

MAC_TOLERANCE = 0.02


class Guard:
    """Compares the gates of a model on reference inputs with what they were at first.

    Args:
        model: A model with gated layers.
        reference: Inputs as for `model.predict`.
        max_flips: Number from 0 to 1, the largest share of the masks that may differ.
        budget: Relative MACs to stay within .02 of, or `None`: what they are now.
    """

    def __init__(
        self, model: keras.Model, reference: Inputs, max_flips: float, budget: float | None
    ) -> None:
        self.reference = reference
        self.max_flips = max_flips
        self.masks, macs = self._measure(model)
        self.budget = macs if budget is None else budget

    def objection(self, model: keras.Model) -> str | None:
        """Give the reason why a model may not be published, or `None` if it may."""
        masks, macs = self._measure(model)
        flips = self.flips(masks)
        if flips > self.max_flips:
            return f"{flips:.4f} of the masks of the reference flip, more than {self.max_flips:g}"
        if abs(macs - self.budget) > MAC_TOLERANCE:
            return f"relative MACs of {macs:.3f} are not within .02 of {self.budget:.3f}"
        return None

    def flips(self, masks: Any) -> float:
        """Give the mean absolute difference of masks to those at first."""
        return float(np.mean(np.abs(masks - self.masks)))

    def state(self) -> dict[str, Any]:
        """Give what `restored` needs, apart from `arrays`."""
        leaves = keras.tree.flatten(self.reference)
        names = sorted(self.reference) if isinstance(self.reference, dict) else None
        return {
            "max_flips": self.max_flips,
            "budget": self.budget,
            "inputs": len(leaves),
            "names": names,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Give the arrays that `restored` needs."""
        leaves = enumerate(keras.tree.flatten(self.reference))
        inputs = {f"reference/{number}": np.asarray(leaf) for number, leaf in leaves}
        return {"masks": self.masks, **inputs}

    @classmethod
    def restored(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> "Guard":
        """Continue where `state` and `arrays` were taken."""
        guard = cls.__new__(cls)
        inputs = [arrays[f"reference/{number}"] for number in range(state["inputs"])]
        guard.reference = (
            dict(zip(state["names"], inputs, strict=True))
            if state["names"]
            else inputs[0]
            if len(inputs) == 1
            else inputs
        )
        guard.masks, guard.max_flips = arrays["masks"], state["max_flips"]
        guard.budget = state["budget"]
        return guard

    def _measure(self, model: keras.Model) -> tuple[np.ndarray, float]:
        """Give all masks in one row, and the relative MACs."""
        cost = model_cost(model, self.reference)
        gates = [layer.gate for layer in gated_layers(model)]
        found, macs = [], []
        for rows, record in record_batches(model, self.reference, 256, argument="reference"):
            masks = record.masks()
            found += [masks[gate].reshape(-1) for gate in gates if gate in masks]
            each = sum(cost.per_sample(masks))
            macs.append(np.broadcast_to(each, (rows.stop - rows.start,)))
        return np.concatenate(found), float(np.concatenate(macs).mean()) / max(cost.dense(), 1)
