"""`ModelTimes`: what a table says of a model, for any openness of its gates."""

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating.openness import Averages, Masks
from keras_dynamicgate.latency.deployed_cost import DeployedCost
from keras_dynamicgate.latency.table import LatencyTable
from keras_dynamicgate.utils.types import Inputs, Tensor


class ModelTimes:
    """Reads a `LatencyTable` for a model.

    Args:
        model: A built Keras model.
        table: The `LatencyTable`.
        x: Inputs as for `model.predict`, for the sizes that the model leaves open. Defaults to
            `None`.

    Attributes:
        deployed: The `DeployedCost` of the model.

    Raises:
        ValueError: If the table is of another model or backend.
    """

    def __init__(self, model: keras.Model, table: LatencyTable, x: Inputs = None) -> None:
        if not isinstance(table, LatencyTable):
            raise ValueError(
                "Argument `table` must be a `LatencyTable`, as `LatencyTable.measure(model)` "
                f"gives. Received: table={table!r}"
            )
        self.table = table
        self.deployed = DeployedCost(model, table.setup.runtime, x)
        table.check(self.deployed, model.name)
        parts = dict(zip(self.deployed.positions, self.deployed.parts, strict=True))
        self._parts = [
            (times, parts[position])
            for times, position in zip(table.products, table.positions(), strict=True)
        ]

    @property
    def full(self) -> float:
        """Milliseconds with every gate open."""
        return self.table.rest + sum(times.full for times, _ in self._parts)

    def on_average(self, averages: Averages) -> Tensor:
        """Give the milliseconds, a tensor of shape `()` or `(cases,)`.

        Args:
            averages: Dict from `Gate` to a tensor of shape `(gates,)`, or `(cases, gates)` for
                several cases at once.
        """
        total = ops.convert_to_tensor(self.table.rest, "float32")
        for times, part in self._parts:
            total = total + times.at(*part.on_average(averages), xp=ops)
        return total

    def by_layer(self, masks: Masks) -> dict[str, float]:
        """Give the mean over samples of the milliseconds of each layer that gates make quicker.

        Args:
            masks: Dict from `Gate` to its masks, of shape `(samples or 1, ..., gates)`.
        """
        layers = dict.fromkeys((part.layer for _, part in self._parts), 0.0)
        for times, part in self._parts:
            layers[part.layer] += float(np.mean(times.at(*part.of_samples(masks))))
        return layers

    def full_by_layer(self) -> dict[str, float]:
        """Give the milliseconds of each such layer with every gate open."""
        layers = dict.fromkeys((part.layer for _, part in self._parts), 0.0)
        for times, part in self._parts:
            layers[part.layer] += times.full
        return layers
