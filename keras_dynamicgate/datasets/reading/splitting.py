"""Divide samples into two parts with the same share of every class in both."""

import numpy as np

from keras_dynamicgate.utils import checks

# What data sets without official test samples draw of each class for testing.
TEST_FRACTION = 0.2


def stratified_split(y: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide samples into a large and a small part with equal shares of every class.

    The small part has exactly `round(fraction * samples)` samples; each class gives its own
    share of them, rounded up or down.

    Args:
        y: Labels, shape `(samples,)`, integer.
        fraction: Size of the small part, from 0 up to but not including 1.
        seed: Integer that fixes which samples are drawn.

    Returns:
        Two arrays of indices into `y`, both in rising order: the large and the small part.

    Raises:
        ValueError: If `fraction` is not in `[0, 1)`.

    Examples:
        >>> kept, drawn = stratified_split(np.array([0, 0, 0, 0, 1, 1]), 0.5, seed=0)
        >>> y[drawn].tolist()
        [0, 0, 1]
    """
    checks.number("fraction", fraction, "in [0, 1)", lambda value: 0 <= value < 1)
    classes, positions, counts = np.unique(y, return_inverse=True, return_counts=True)
    rng = np.random.default_rng(seed)
    drawn = [
        rng.permutation(np.flatnonzero(positions == k))[:quota]
        for k, quota in enumerate(_quotas(counts, fraction))
    ]
    small = np.sort(np.concatenate(drawn)) if len(classes) else np.arange(0)
    return np.setdiff1d(np.arange(len(y)), small), small


def train_validation_and_test(
    y: np.ndarray, validation_fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Divide samples that have no official test split into three parts, each class alike.

    Args:
        y: Labels, shape `(samples,)`, integer.
        validation_fraction: Share of all samples that is kept for validation, from 0 up to but not
            including `1 - TEST_FRACTION`.
        seed: Integer that fixes which samples are drawn.

    Returns:
        Three arrays of indices into `y`, in rising order.
    """
    rest, test = stratified_split(y, TEST_FRACTION, seed)
    kept, drawn = stratified_split(y[rest], validation_fraction / (1 - TEST_FRACTION), seed)
    return rest[kept], rest[drawn], test


def check_validation_fraction(validation_fraction: float, below: float = 1) -> None:
    """Raise a `ValueError` unless `validation_fraction` is in `[0, below)`."""
    checks.number(
        "validation_fraction",
        validation_fraction,
        f"in [0, {below})",
        lambda value: 0 <= value < below,
    )


def _quotas(counts: np.ndarray, fraction: float) -> np.ndarray:
    shares = counts * fraction
    quotas = np.floor(shares).astype(int)
    missing = round(fraction * counts.sum()) - quotas.sum()
    # Largest remainders first; the stable sort settles ties by the order of the classes.
    quotas[np.argsort(quotas - shares, kind="stable")[:missing]] += 1
    return quotas
