"""What users give as inputs, as arrays of float32."""

import numpy as np


def as_float32(x):
    """Turn an argument `x` into a float32 array.

    Args:
        x: Array, tensor of any backend or nested list of numbers.

    Raises:
        ValueError: If it does not hold real numbers.
    """
    if callable(getattr(x, "detach", None)):
        # NumPy takes neither PyTorch's tensors that require a gradient nor its bfloat16.
        x = x.detach().cpu()
        x = x.float() if x.is_floating_point() else x
    try:
        array = np.asarray(x)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"Argument `x` must be an array of numbers. Received: x={x!r}") from error
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise ValueError(
            f"Argument `x` must be an array of real numbers. Received: dtype={array.dtype}"
        )
    return array.astype("float32")
