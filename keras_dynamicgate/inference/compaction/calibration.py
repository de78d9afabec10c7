"""What each gate of a model can do: which gates may open, and whether its mask is fixed."""

import dataclasses

import keras
import numpy as np
from keras import ops

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

    def add(self, masks):
        """Add the masks of a batch."""
        for gate, mask in masks.items():
            rows = mask.reshape(-1, mask.shape[-1])
            # A shared gate's mask is the mean over its calls.
            ever, always = (rows > 0).any(axis=0), (rows == 1).all(axis=0)
            self.ever[gate] = self.ever.get(gate, False) | ever
            self.always[gate] = self.always.get(gate, True) & always


def calibrate(model, x, batch_size):
    """Run a model on samples and note which of its gates open.

    Raises:
        ValueError: If there are no samples.
    """
    calibration = Calibration(samples=len(keras.tree.flatten(x)[0]))
    for _, record in record_batches(model, x, batch_size, argument="x_calibration"):
        calibration.add(record.masks())
    return calibration


def gate_state(gate, calibration):
    """Give the gates that may open, as a boolean array, and whether each is always the same.

    Args:
        gate: A built `Gate`.
        calibration: A `Calibration`, or `None`: input-dependent gates may do anything.
    """
    if not gate.input_dependent:
        mask = ops.convert_to_numpy(gate(np.zeros((1, 1), "float32")))
        return mask.reshape(-1) > 0.5, True
    if calibration is None or gate not in calibration.ever:
        return np.ones(gate.gates, bool), False
    ever = calibration.ever[gate]
    return ever, bool((calibration.always[gate] | ~ever).all())
