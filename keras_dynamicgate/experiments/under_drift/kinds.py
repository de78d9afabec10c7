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


def _all(labels: np.ndarray) -> np.ndarray:
    return np.ones(labels.shape, bool)


def _of_two_classes(labels: np.ndarray) -> np.ndarray:
    return np.isin(labels, EXCHANGED)


def _none(labels: np.ndarray) -> np.ndarray:
    return np.zeros(labels.shape, bool)


def _any_shape(shape: tuple[int, ...]) -> bool:
    return True


@dataclasses.dataclass(frozen=True)
class Drift:
    """What becomes of data at some moment.

    Attributes:
        inputs: Function `inputs(x, seed)` that gives the inputs as they come afterwards.
        labels: Function that gives the labels that are right afterwards.
        comes: Function from labels to the samples that the stream brings afterwards.
        ends: Function from labels to the samples whose old answers are wrong afterwards, and which
            need not be remembered.
        fits: Function that tells whether it can be for samples of a shape.
    """

    inputs: Callable[[np.ndarray, int], np.ndarray] = _same_inputs
    labels: Callable[[np.ndarray], np.ndarray] = _same_labels
    comes: Callable[[np.ndarray], np.ndarray] = _all
    ends: Callable[[np.ndarray], np.ndarray] = _none
    fits: Callable[[tuple[int, ...]], bool] = _any_shape


DRIFTS = {
    "noise": Drift(noisy_and_blurred, fits=lambda shape: len(shape) >= 2),
    "rotation": Drift(turned, fits=lambda shape: len(shape) >= 2 and shape[0] == shape[1]),
    "labels": Drift(labels=exchanged, comes=_of_two_classes, ends=_of_two_classes),
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
