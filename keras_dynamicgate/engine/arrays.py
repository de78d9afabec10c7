"""Turn what users give as inputs into arrays of float32."""

from typing import Any

import numpy as np

from keras_dynamicgate.graph.state import readable


def as_float32(x: Any) -> np.ndarray:
    """Turn an argument `x` into a float32 array.

    Args:
        x: Array, tensor of any backend or nested list of numbers.

    Returns:
        A NumPy array.

    Raises:
        ValueError: If it does not hold real numbers.
    """
    try:
        array = np.asarray(readable(x))
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"Argument `x` must be an array of numbers. Received: x={x!r}") from error
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise ValueError(
            f"Argument `x` must be an array of real numbers. Received: dtype={array.dtype}"
        )
    return array.astype("float32")
