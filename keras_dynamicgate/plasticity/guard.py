"""What a version must keep to before it is published: numbers, masks and cost."""

import math
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.gating.record import record_batches
from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.macs.model_cost import model_cost
from keras_dynamicgate.plasticity.learner_file import Saved
from keras_dynamicgate.plasticity.samples import check_shapes
from keras_dynamicgate.plasticity.snapshot import Snapshot, is_finite
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import Inputs

# Modes that change gates, which may flip masks of the reference.
GUARDED = ("gates", "both")
MAC_TOLERANCE = 0.02


class Guard:
    """Tells why what a model has learned may not be published.

    In every mode because a number is not finite; in the modes that change gates because of their
    masks on reference inputs, compared with what they were at first.

    Args:
        model: The model before it learns.
        mode: One of the modes of `set_update_mode`.
        reference: Inputs as for `model.predict`, needed by the modes that change gates.
        max_flips: Number from 0 to 1, the largest share of the masks that may differ.
        budget: Relative MACs to stay within .02 of, or `None`: what they are now.
    """

    def __init__(
        self,
        model: keras.Model,
        mode: str,
        reference: Inputs,
        max_flips: float,
        budget: float | None,
    ) -> None:
        checks.number("max_flips", max_flips, "from 0 to 1", lambda value: 0 <= value <= 1)
        if budget is not None:
            checks.number("budget", budget, "above 0", lambda value: value > 0)
        self.mode = mode
        self.max_flips = max_flips
        self.budget: Any = budget
        self.reference: Inputs = None
        if mode not in GUARDED:
            return
        if reference is None:
            raise ValueError(
                f'Argument `reference` is needed by mode "{mode}": inputs on which to tell what '
                "gates may not flip. Received: reference=None"
            )
        check_shapes(model, reference, "reference")
        self.reference = reference
        self.masks, macs = self._measure(model)
        self.budget = macs if budget is None else budget

    def objection(self, model: keras.Model, taken: Snapshot, loss: float) -> str | None:
        """Give the reason why a model may not be published, or `None` if it may.

        Args:
            model: The model that has learned.
            taken: Its snapshot.
            loss: The loss of its step.
        """
        if not math.isfinite(loss) or not is_finite(taken):
            return f"the loss, a weight or a momentum is not finite (loss={loss})"
        if self.reference is None:
            return None
        masks, macs = self._measure(model)
        flips = float(np.mean(np.abs(masks - self.masks)))
        if flips > self.max_flips:
            return f"{flips:.4f} of the masks of the reference flip, more than {self.max_flips:g}"
        if abs(macs - self.budget) > MAC_TOLERANCE:
            return f"relative MACs of {macs:.3f} are not within .02 of {self.budget:.3f}"
        return None

    def saved(self) -> Saved:
        """Give what `restored` needs: what JSON can hold, and arrays by name."""
        state = {"mode": self.mode, "max_flips": self.max_flips, "budget": self.budget}
        if self.reference is None:
            return state, {}
        leaves = map(np.asarray, keras.tree.flatten(self.reference))
        arrays = {str(place): leaf for place, leaf in enumerate(leaves)}
        places = keras.tree.pack_sequence_as(self.reference, list(arrays))
        return {**state, "reference": places}, {**arrays, "masks": self.masks}

    @classmethod
    def restored(cls, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> "Guard":
        """Continue where `saved` was called."""
        guard = cls.__new__(cls)
        guard.mode, guard.max_flips = state["mode"], state["max_flips"]
        guard.budget, guard.reference = state["budget"], None
        if "reference" in state:
            guard.reference = keras.tree.map_structure(arrays.__getitem__, state["reference"])
            guard.masks = arrays["masks"]
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
