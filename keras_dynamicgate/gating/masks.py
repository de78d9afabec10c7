"""From gate logits to masks: probabilities, hard decisions and the straight-through estimator."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

ESTIMATORS = ("threshold", "bernoulli", "logistic", "soft")


def gate_probability(logits: Any, temperature: Any) -> Any:
    """Turn gate logits into gate probabilities, `sigmoid(logits / temperature)`."""
    return ops.sigmoid(ops.divide(logits, temperature))


def threshold_mask(probability: Any, threshold: Any) -> Any:
    """Open the gates whose probability lies above the threshold."""
    return ops.cast(ops.greater(probability, threshold), probability.dtype)


def logit(threshold: float) -> float:
    """Give the logit above which gates open, all for a threshold of 0 and none for one of 1.

    In float32, as the weight is, numbers close to 0 and 1 are these.
    """
    if 0.0 < threshold < 1.0:
        return math.log(threshold / (1.0 - threshold))
    # No infinity, which compiled code need not know.
    return float(np.finfo("float32").max if threshold >= 1.0 else np.finfo("float32").min)


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


def straight_to_logits(mask: Any, probability: Any, scaled_logits: Any) -> Any:
    """Give the mask forward and, backward, the gradient of a sigmoid where it is `probability`.

    The gradient goes to logits that may broadcast to the mask, as those of static gates do; what
    was drawn for each sample takes part as a constant.

    Args:
        mask: Tensor of zeros and ones.
        probability: Tensor of the same shape and dtype: the sigmoid `p`, whose derivative is
            `p (1 - p)`.
        scaled_logits: Tensor that broadcasts to that shape, the logits over the temperature.

    Returns:
        A tensor equal to `mask`, bit for bit.
    """
    slope = ops.subtract(probability, ops.square(probability))
    zero = ops.subtract(scaled_logits, ops.stop_gradient(scaled_logits))
    return ops.add(ops.stop_gradient(mask), ops.multiply(ops.stop_gradient(slope), zero))


def uniform_noise(shape: tuple[Any, ...], seed: Any, scale: Any = 1.0, ranked: bool = False) -> Any:
    """Sample uniform numbers between 0 and 1, of which any two are independent.

    Unless gates are ranked, each is the sum, without its whole part, of a number of its sample and
    position and a number of its gate. So masks have the means and covariances of independent draws,
    while only as many random numbers are needed as there are positions and gates, not their
    product.

    Args:
        shape: Tuple, the shape `(..., gates)`.
        seed: A `keras.random.SeedGenerator` or an integer.
        scale: Float or scalar tensor from 0 to 1, how far from 1/2 they may lie, as a share of
            all the way. Defaults to 1.0.
        ranked: Whether the gates of a sample are compared with each other. Then each number is
            drawn by itself: sums would rank the gates of all samples in nearly the same order.
            Defaults to `False`.

    Returns:
        A float32 tensor.
    """
    if ranked:
        drawn = keras.random.uniform(shape, dtype="float32", seed=seed)
    else:
        rows = math.prod(shape[:-1])
        parts = keras.random.uniform((rows + shape[-1],), dtype="float32", seed=seed)
        total = ops.add(ops.reshape(parts[:rows], (*shape[:-1], 1)), parts[rows:])
        drawn = ops.subtract(total, ops.floor(total))
    centred = ops.subtract(drawn, 0.5)
    # Never 0 or 1, whose logits are not finite; float32 resolves 1 - 1e-6.
    return ops.add(0.5, ops.multiply(centred, (1.0 - 2e-6) * scale))


def logistic_noise(uniform: Any) -> Any:
    """Turn uniform numbers into logistic noise, which makes a threshold a draw with fair odds."""
    return ops.log(ops.divide(uniform, ops.subtract(1.0, uniform)))


def noisy_probability(probability: Any, uniform: Any) -> Any:
    """Give the probability of gates after logistic noise on their logits, without a logarithm.

    With `p = sigmoid(z)`, `sigmoid(z + log(u / (1 - u)))` is `p u / (p u + (1 - p) (1 - u))`.

    Args:
        probability: Float32 tensor that broadcasts to the shape of `uniform`: `p`.
        uniform: Float32 tensor of numbers between 0 and 1: `u`.

    Returns:
        A float32 tensor of the shape of `uniform`, above 1/2 where `u` is above `1 - p`.
    """
    opened = ops.multiply(probability, uniform)
    closed = ops.multiply(ops.subtract(1.0, probability), ops.subtract(1.0, uniform))
    return ops.divide(opened, ops.add(opened, closed))


def bernoulli_mask(probability: Any, shape: tuple[Any, ...], seed: Any) -> Any:
    """Sample a mask whose gates are open with the given probabilities."""
    return ops.cast(ops.less(uniform_noise(shape, seed), probability), probability.dtype)
