"""What becomes of data: noise and blur, turned images, exchanged labels."""

import dataclasses
from collections.abc import Callable

import numpy as np

NOISE = 0.5
EXCHANGED = (3, 5)


def noisy_and_blurred(images: np.ndarray, seed: int) -> np.ndarray:
    """Add normal noise of .5, clip to 0 to 1 and take the mean over 3 x 3 pixels."""
    noise = np.random.default_rng(seed).normal(0.0, NOISE, images.shape).astype("float32")
    border = [(0, 0), (1, 1), (1, 1), *[(0, 0)] * (images.ndim - 3)]
    noisy = np.pad(np.clip(images + noise, 0.0, 1.0), border)
    height, width = images.shape[1:3]
    total = np.zeros_like(images)
    for row in range(3):
        for column in range(3):
            total += noisy[:, row : row + height, column : column + width]
    return total / np.float32(9.0)


def turned(images: np.ndarray, seed: int) -> np.ndarray:
    """Turn images by a quarter."""
    return np.ascontiguousarray(np.rot90(images, axes=(1, 2)))


def exchanged(labels: np.ndarray) -> np.ndarray:
    """Give each of two classes the label of the other."""
    first, second = EXCHANGED
    return np.where(labels == first, second, np.where(labels == second, first, labels))


def _same_inputs(x: np.ndarray, seed: int) -> np.ndarray:
    return x


def _same_labels(labels: np.ndarray) -> np.ndarray:
    return labels


def _any_shape(shape: tuple[int, ...]) -> bool:
    return True


@dataclasses.dataclass(frozen=True)
class Drift:
    """What becomes of data at some moment.

    Attributes:
        inputs: Function `inputs(x, seed)` that gives the inputs as they come afterwards.
        labels: Function that gives the labels that are right afterwards.
        classes: The classes that alone come afterwards, and whose old answers are wrong then, or
            `None`: all come, and the old answers to inputs of before stay right.
        fits: Function that tells whether it can be for samples of a shape.
    """

    inputs: Callable[[np.ndarray, int], np.ndarray] = _same_inputs
    labels: Callable[[np.ndarray], np.ndarray] = _same_labels
    classes: tuple[int, ...] | None = None
    fits: Callable[[tuple[int, ...]], bool] = _any_shape

    def comes(self, labels: np.ndarray) -> np.ndarray:
        """Tell which samples come afterwards, as a boolean array."""
        return np.ones(labels.shape, bool) if self.classes is None else self.ends(labels)

    def ends(self, labels: np.ndarray) -> np.ndarray:
        """Tell the old answers to which samples are wrong afterwards, as a boolean array."""
        return np.isin(labels, self.classes or ())


DRIFTS = {
    "noise": Drift(noisy_and_blurred, fits=lambda shape: len(shape) >= 2),
    "rotation": Drift(turned, fits=lambda shape: len(shape) >= 2 and shape[0] == shape[1]),
    "labels": Drift(labels=exchanged, classes=EXCHANGED),
}


def require(name: str, shape: tuple[int, ...]) -> Drift:
    """Give a drift by its name.

    Args:
        name: A key of `DRIFTS`.
        shape: Tuple of integers, the shape of a sample.

    Raises:
        ValueError: If there is no such drift, or none for such samples.
    """
    if name not in DRIFTS:
        raise ValueError(
            f"Argument `kind` must be one of {', '.join(DRIFTS)}. Received: kind={name!r}"
        )
    drift = DRIFTS[name]
    if not drift.fits(shape):
        others = ", ".join(kind for kind, each in DRIFTS.items() if each.fits(shape))
        raise ValueError(
            f"Argument `kind` must be one of {others} for samples of shape {shape}: noise is for "
            f"images, rotation for square ones. Received: kind={name!r}"
        )
    return drift
