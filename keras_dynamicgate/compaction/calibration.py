"""What each gate of a model can do: which gates may open, and whether its mask is fixed."""

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_dynamicgate import graph
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.record import record_batches


@dataclasses.dataclass
class Calibration:
    """How the gates of a model behave on some samples.

    Attributes:
        samples: The number of samples.
        ever: Dict from `Gate` to a boolean array, the gates that opened at least once.
        always: Dict from `Gate` to a boolean array, the gates that were open every time.
    """

    samples: int
    ever: dict = dataclasses.field(default_factory=dict)
    always: dict = dataclasses.field(default_factory=dict)

    def add(self, masks: dict[Gate, np.ndarray]) -> None:
        """Add the masks of a batch."""
        for gate, mask in masks.items():
            rows = mask.reshape(-1, mask.shape[-1])
            # A shared gate's mask is the mean over its calls.
            ever, always = (rows > 0).any(axis=0), (rows == 1).all(axis=0)
            self.ever[gate] = self.ever.get(gate, False) | ever
            self.always[gate] = self.always.get(gate, True) & always


def calibrate(model: keras.Model, x: Any, batch_size: int) -> Calibration:
    """Run a model on samples and note which of its gates open.

    Raises:
        ValueError: If there are no samples, if `x` does not hold an array of equal length for each
            input of the model, or if it makes a gate probability NaN.
    """
    _check_arrays(model, x)
    calibration = Calibration(samples=0)
    for rows, record in record_batches(model, x, batch_size, argument="x_calibration"):
        calibration.add(record.masks(padding=True))
        calibration.samples = rows.stop
    return calibration


def _check_arrays(model: keras.Model, x: Any) -> None:
    """Raise a `ValueError` unless there is an array for each input, and nothing else."""
    arrays = keras.tree.flatten(x)
    if not all(tuple(getattr(array, "shape", ())) for array in arrays):
        types = ", ".join(sorted({type(array).__name__ for array in arrays}))
        raise ValueError(
            "Argument `x_calibration` must be an array or a list or dict of arrays, one for each "
            f"input of the model. Received: x_calibration of {types}"
        )
    graph.pair_inputs(model, x, "x_calibration")


@dataclasses.dataclass
class GateState:
    """What the gates of a layer can do.

    Attributes:
        ever: Boolean array, the gates that may open.
        always: Boolean array, the gates that are known to be open at all times.
    """

    ever: np.ndarray
    always: np.ndarray

    @property
    def fixed(self) -> bool:
        """Whether each gate is always the same."""
        return bool((self.always | ~self.ever).all())


def gate_state(gate: Gate, calibration: Calibration | None) -> GateState:
    """Give the `GateState` of a gate.

    Args:
        gate: A built `Gate`.
        calibration: A `Calibration`, or `None`: input-dependent gates may do anything.
    """
    if not gate.input_dependent:
        is_open = gate.static_mask()
        return GateState(is_open, is_open)
    if calibration is None or gate not in calibration.ever:
        return GateState(np.ones(gate.gates, bool), np.zeros(gate.gates, bool))
    return GateState(calibration.ever[gate], calibration.always[gate])
