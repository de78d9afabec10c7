"""NaN in what users give: a gate that cannot be decided would count as closed."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.graph.state import readable


def samples_with_nan(x: Any) -> np.ndarray:
    """Tell which samples hold NaN.

    Args:
        x: Inputs or outputs of a model: an array or a list or dict of arrays or tensors.

    Returns:
        Boolean array of shape `(samples,)`.
    """
    found = np.zeros(1, bool)
    for leaf in keras.tree.flatten(x):
        values = np.asarray(readable(leaf))
        if "float" in values.dtype.name:  # bfloat16, too, which is of no kind that NumPy knows
            found = found | np.isnan(values).reshape(len(values), -1).any(axis=1)
    return found


def check_decided(
    probabilities: dict[Any, np.ndarray], outputs: Any, batch: Any, start: int, argument: str
) -> None:
    """Raise a `ValueError` where NaN leaves a gate undecided or gets through to an output.

    NaN that the model itself replaces does no harm and is allowed.

    Args:
        probabilities: Dict from `Gate` to its probabilities, of shape `(samples or 1, ..., gates)`.
        outputs: What the model gave for the batch.
        batch: Its inputs.
        start: Integer, the number of the first sample of the batch.
        argument: Name of the caller's argument, for the error.
    """
    given = samples_with_nan(batch)
    for gate, probability in probabilities.items():
        undecided = samples_with_nan(probability)
        if undecided.any():
            sample = int(undecided.argmax())
            cause = (
                "holds NaN and so"
                if given[sample % len(given)]
                else "holds no NaN, unlike perhaps the weights, and"
            )
            raise ValueError(
                f"Argument `{argument}` must hold numbers for which all gates can be decided. "
                f"Received: sample {start + sample} {cause} makes the probabilities of gate "
                f"{gate.path!r} NaN"
            )
    if given.any():
        reached = given & samples_with_nan(keras.tree.map_structure(ops.convert_to_numpy, outputs))
        if reached.any():
            raise ValueError(
                f"Argument `{argument}` must hold numbers. Received: NaN in sample "
                f"{start + int(reached.argmax())}, which gets through to the outputs of the model"
            )
