"""From gate logits to masks: probabilities, hard decisions and the straight-through estimator."""

import math
from typing import Any

import keras
from keras import ops

ESTIMATORS = ("threshold", "bernoulli", "logistic", "soft")


def gate_probability(logits: Any, temperature: Any) -> Any:
    """Turn gate logits into gate probabilities, `sigmoid(logits / temperature)`."""
    return ops.sigmoid(ops.divide(logits, temperature))


def threshold_mask(probability: Any, threshold: Any) -> Any:
    """Open the gates whose probability lies above the threshold."""
    return ops.cast(ops.greater(probability, threshold), probability.dtype)


def top_k_mask(logits: Any, k: int) -> Any:
    """Open exactly the `k` gates with the largest logits; the lower index wins a tie.

    Args:
        logits: Float tensor of shape `(..., gates)`.
        k: Integer from 1 to the number of gates.

    Returns:
        A tensor of zeros and ones with the shape and dtype of `logits`.
    """
    # argsort is stable on every backend, top_k is not: only this breaks ties by index.
    order = ops.argsort(ops.negative(logits), axis=-1)
    rank = ops.argsort(order, axis=-1)
    return ops.cast(ops.less(rank, k), logits.dtype)


def hard_mask(
    logits: Any,
    probability: Any,
    *,
    threshold: Any,
    top_k: int | None = None,
    min_open: float = 0.0,
) -> Any:
    """Decide which gates are open, deterministically.

    Args:
        logits: Float tensor of shape `(..., gates)`.
        probability: Float tensor of the same shape, the gate probabilities.
        threshold: Float or scalar tensor; a gate is open where `probability > threshold`.
        top_k: Integer, the number of gates to open in place of the threshold, or `None`.
        min_open: Float from 0 to 1, the share of the gates that stays open at the least.

    Returns:
        A tensor of zeros and ones with the shape and dtype of `logits`.
    """
    if top_k is not None:
        return top_k_mask(logits, top_k)
    mask = threshold_mask(probability, threshold)
    return keep_open(mask, logits, min_open)


def fewest_open(min_open: float, gates: int) -> int:
    """Give how many of `gates` gates a floor of `min_open` keeps open."""
    # .07 * 100 is a little more than 7 in floating point.
    return math.ceil(min_open * gates - 1e-9)


def keep_open(mask: Any, logits: Any, min_open: float) -> Any:
    """Open the gates with the largest logits, too, so that a floor is kept exactly."""
    fewest = fewest_open(min_open, logits.shape[-1])
    return ops.maximum(mask, top_k_mask(logits, fewest)) if fewest else mask


def of_positions(mask: Any, rank: int) -> Any:
    """Give Keras's mask of positions as float32: 1 for those that count and 0 for padding.

    Args:
        mask: Boolean tensor of shape `(batch, ...)`.
        rank: Integer, the number of axes of the result, the last ones of size 1.
    """
    ones = [1] * (rank - len(mask.shape))
    return ops.cast(ops.reshape(mask, (*ops.shape(mask), *ones)), "float32")


def straight_through(mask: Any, probability: Any) -> Any:
    """Give the mask forward and the gradient of the probability backward.

    The order of the terms matters: `probability - stop_gradient(probability)` is exactly zero, so
    that the sum is exactly 0 or 1 in every precision; `mask + stop_gradient(probability - mask)`
    would be a soft gate without a gradient.

    Args:
        mask: Tensor of zeros and ones.
        probability: Tensor of the same shape and dtype.

    Returns:
        A tensor equal to `mask`, bit for bit.

    Reference:

    - Bengio, Léonard and Courville, 2013 (arXiv 1308.3432)
    """
    zero = ops.subtract(probability, ops.stop_gradient(probability))
    return ops.add(ops.stop_gradient(mask), zero)


def logistic_noise(shape: tuple[Any, ...], seed: Any) -> Any:
    """Sample standard logistic noise, which turns a threshold into a draw with `sigmoid` odds."""
    # Keeps both logarithms finite: float32 resolves 1 - 1e-6.
    uniform = keras.random.uniform(shape, 1e-6, 1.0 - 1e-6, dtype="float32", seed=seed)
    return ops.subtract(ops.log(uniform), ops.log1p(ops.negative(uniform)))


def bernoulli_mask(probability: Any, shape: tuple[Any, ...], seed: Any) -> Any:
    """Sample a mask whose gates are open with the given probabilities."""
    uniform = keras.random.uniform(shape, dtype="float32", seed=seed)
    return ops.cast(ops.less(uniform, probability), probability.dtype)
