"""How many weights each layer of a sparse network keeps, and which ones at the start."""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.baselines.rewiring import largest


def kept_counts(
    shapes: Sequence[tuple[int, ...]], sparsities: Sequence[float], distribution: str
) -> list[int]:
    """Count the weights that each layer keeps.

    Args:
        shapes: List of the kernels' shapes, `(features, units)`.
        sparsities: List of floats, the share of each kernel that its layer does not keep.
        distribution: `"erk"` or `"uniform"`.

    Returns:
        List of integers of at least 1.
    """
    sizes = np.array([math.prod(shape) for shape in shapes], "float64")
    kept = sizes * (1 - np.array(sparsities))
    if distribution == "erk":
        kept = _spread(kept.sum(), sizes, np.array([sum(shape) for shape in shapes], "float64"))
    return [max(1, round(count)) for count in kept]


def _spread(total: float, sizes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Spread weights over layers in proportion to `shares`, up to what each has room for."""
    full = np.zeros(len(sizes), bool)
    while not full.all():
        rest = (total - sizes[full].sum()) / shares[~full].sum()
        kept = np.where(full, sizes, rest * shares)
        if not (kept > sizes).any():
            return kept
        full |= kept > sizes
    return sizes


def random_choice(shape: tuple[int, ...], count: int) -> np.ndarray:
    """Mark `count` random weights; `keras.utils.set_random_seed` makes the choice repeatable."""
    scores = keras.initializers.RandomUniform(0.0, 1.0)(shape)
    return largest(ops.convert_to_numpy(scores), count)
