"""Data sets as comparisons train on them: with changed copies, or with smaller images.

Nothing here is random, so all models see the same samples in the same order.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_dynamicgate.datasets import Dataset, Split

Change = Callable[[np.ndarray], np.ndarray]

DECODED_AT_ONCE = 500


class Copies:
    """Samples followed by changed copies of all of them, which are made when they are read.

    Args:
        samples: Array-like of shape `(samples, ...)`; it is only indexed.
        changes: List of functions that turn a batch of samples into a changed batch.
    """

    def __init__(self, samples: Any, changes: Sequence[Change]) -> None:
        self.samples = samples
        self.changes = changes
        self.shape = ((1 + len(changes)) * samples.shape[0], *samples.shape[1:])
        self.dtype = samples.dtype

    def __getitem__(self, rows: Any) -> np.ndarray:
        copies, originals = np.divmod(np.arange(self.shape[0])[rows], self.samples.shape[0])
        batch = np.array(self.samples[originals])
        for number, change in enumerate(self.changes, start=1):
            batch[copies == number] = change(batch[copies == number])
        return batch


class HalvedImages:
    """Images of half the height and width, decoded once and kept as bytes.

    Args:
        images: Array-like of shape `(samples, height, width, channels)` with values from 0 to 1.
    """

    def __init__(self, images: Any) -> None:
        samples, height, width, channels = images.shape
        self.shape = (samples, height // 2, width // 2, channels)
        self.dtype = np.dtype("float32")
        self.bytes = np.empty(self.shape, "uint8")
        for start in range(0, samples, DECODED_AT_ONCE):
            rows = slice(start, start + DECODED_AT_ONCE)
            pixels = np.asarray(images[rows])
            pairs = pixels.reshape(len(pixels), height // 2, 2, width // 2, 2, channels)
            self.bytes[rows] = np.rint(255 * pairs.mean(axis=(2, 4)))

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.bytes[rows].astype("float32") / 255


def with_mirror_images(dataset: Dataset) -> Dataset:
    """Add mirror images to the training split of an image data set.

    Args:
        dataset: A `keras_dynamicgate.datasets.Dataset` of images.

    Returns:
        A `Dataset` with the same validation and test splits.
    """
    return _with_copies(dataset, [lambda images: images[:, :, ::-1]])


def with_shifted_clips(dataset: Dataset, frames: Sequence[int]) -> Dataset:
    """Add clips that begin earlier or later to the training split of an audio data set.

    Args:
        dataset: A `keras_dynamicgate.datasets.Dataset` of features `(samples, frames, bands)`.
        frames: Integers, how many frames later each copy begins; negative ones begin earlier. The
            first or the last frame fills the gap.

    Returns:
        A `Dataset` with the same validation and test splits.
    """
    return _with_copies(dataset, [functools.partial(_shifted, frames=number) for number in frames])


def _shifted(clips: np.ndarray, frames: int) -> np.ndarray:
    length = clips.shape[1]
    return clips[:, np.clip(np.arange(length) - frames, 0, length - 1)]


def _with_copies(dataset: Dataset, changes: Sequence[Change]) -> Dataset:
    copies = Copies(dataset.train.x, changes)
    train = Split(copies, np.tile(dataset.train.y, 1 + len(changes)))
    return dataclasses.replace(dataset, train=train)


def with_halved_images(dataset: Dataset) -> Dataset:
    """Halve the height and the width of the images of a data set by averaging 2 x 2 pixels.

    Args:
        dataset: A `keras_dynamicgate.datasets.Dataset` of images with even sides.

    Returns:
        A `Dataset` with the same labels.
    """
    splits = {name: getattr(dataset, name) for name in ("train", "validation", "test")}
    halved: dict[str, Any] = {
        name: Split(HalvedImages(split.x), split.y) for name, split in splits.items()
    }
    return dataclasses.replace(dataset, **halved)
