"""What every loader returns, a data set in three splits, and its batches."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_dynamicgate.utils import checks


class ElementSpec(NamedTuple):
    """Shape and dtype of one sample, without the batch axis.

    Examples:
        >>> keras_dynamicgate.datasets.ElementSpec((8, 8), "float32").shape
        (8, 8)
    """

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Samples and labels of one part of a data set.

    `x` is whatever holds the samples best: a NumPy array, a SciPy CSR matrix (`pbmc3k`) or
    images that are decoded when asked for (`tiny_imagenet`). Three ways of reading work the same
    for all of them and always give dense float32 samples: `split[rows]`, `split.batches()` and
    `split.element_spec`. Where `x` is a NumPy array, `model.fit(split.x, split.y)` works too.

    Args:
        x: Samples, shape `(samples, ...)`, float32.
        y: Labels, shape `(samples,)`, int32.

    Examples:
        >>> x, y = np.zeros((3, 2), "float32"), np.array([0, 1, 0], "int32")
        >>> split = keras_dynamicgate.datasets.Split(x, y)
        >>> x, y = split[:2]
        >>> x.shape, y.tolist()
        ((2, 2), [0, 1])
        >>> split.element_spec
        (ElementSpec(shape=(2,), dtype='float32'), ElementSpec(shape=(), dtype='int32'))
    """

    x: Any
    y: np.ndarray

    def __post_init__(self) -> None:
        if self.y.ndim != 1 or self.x.shape[0] != self.y.shape[0]:
            raise ValueError(
                "Argument `y` must hold one label for each sample of `x`. "
                f"Received: x.shape={self.x.shape}, y.shape={self.y.shape}"
            )

    def __len__(self) -> int:
        return int(self.y.shape[0])

    def __getitem__(self, rows: slice | np.ndarray | list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the samples of `rows` (a slice or an array of indices) and their labels."""
        if isinstance(rows, int | np.integer):
            raise TypeError(
                f"Argument `rows` must be a slice or an array of indices. Received: rows={rows}"
            )
        x = self.x[rows]
        return (x.toarray() if hasattr(x, "toarray") else x), self.y[rows]

    def __repr__(self) -> str:
        (shape, dtype), _ = self.element_spec
        return f"Split({len(self)} samples, x: {shape} {dtype}, y: {self.y.dtype})"

    @property
    def element_spec(self) -> tuple[ElementSpec, ElementSpec]:
        """Shape and dtype of one sample and of one label, without the batch axis."""
        x_spec = ElementSpec(tuple(self.x.shape[1:]), str(self.x.dtype))
        return x_spec, ElementSpec((), str(self.y.dtype))

    def batches(self, batch_size: int = 128, shuffle: bool = False, seed: int = 0) -> "Batches":
        """Return the split in batches, as `fit`, `evaluate` and `predict` accept them.

        Args:
            batch_size: Samples in a batch; the last batch may be smaller. Defaults to 128.
            shuffle: Whether each epoch has its own order. Defaults to `False`.
            seed: Integer that fixes the orders. Every new call starts the same orders
                again. Defaults to 0.

        Returns:
            A `keras.utils.PyDataset` of `(x, y)`, the same on every backend.

        Raises:
            ValueError: If `batch_size` is not a positive integer.

        Examples:
            >>> x, y = np.zeros((3, 2), "float32"), np.array([0, 1, 0], "int32")
            >>> split = keras_dynamicgate.datasets.Split(x, y)
            >>> [x.shape for x, y in split.batches(batch_size=2)]
            [(2, 2), (1, 2)]
        """
        return Batches(self, batch_size=batch_size, shuffle=shuffle, seed=seed)


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set in three splits, with what is needed to name, cite and use it.

    Args:
        name: Name of the loader.
        train: Samples to learn from.
        validation: Samples to choose by. Never part of `train`.
        test: Samples to report on.
        class_names: Name of each label, in the order of the labels.
        citation: The publication to cite.
        licence: Terms of the data, as publicly known.
        feature_names: Name of each input feature where they have names, otherwise `None`.

    Examples:
        >>> dataset = keras_dynamicgate.datasets.digits()
        >>> dataset
        Dataset digits: x (8, 8) float32, 10 classes, train 1258, validation 180, test 359
        >>> dataset.num_classes
        10
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    citation: str
    licence: str
    feature_names: tuple[str, ...] | None = None

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def __repr__(self) -> str:
        (shape, dtype), _ = self.train.element_spec
        return (
            f"Dataset {self.name}: x {shape} {dtype}, {self.num_classes} classes, "
            f"train {len(self.train)}, validation {len(self.validation)}, test {len(self.test)}"
        )


class Batches(keras.utils.PyDataset):
    """A split in batches, as `fit`, `evaluate` and `predict` accept them on every backend.

    Samples are decoded or made dense one batch at a time. `fit` shuffles the order of batches by
    itself, from Python's global seed: pass it `shuffle=False` if `seed` alone is to decide.

    Args:
        split: The `Split` to read.
        batch_size: Samples in a batch; the last batch may be smaller.
        shuffle: Whether each epoch has its own order.
        seed: Integer that fixes the orders.

    Examples:
        >>> batches = keras_dynamicgate.datasets.digits().train.batches(batch_size=64, shuffle=True)
        >>> model = keras.Sequential([
        ...     keras.Input((8, 8)), keras.layers.Flatten(), keras.layers.Dense(10)
        ... ])
        >>> model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> history = model.fit(batches, epochs=2, shuffle=False, verbose=0)
    """

    def __init__(self, split: Split, *, batch_size: int, shuffle: bool, seed: int) -> None:
        super().__init__()
        checks.positive_integer("batch_size", batch_size)
        self.split = split
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self._epoch = 0
        self._order = self._draw_order()

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= index < len(self):
            raise IndexError(
                f"Argument `index` must be in [0, {len(self)}). Received: index={index}"
            )
        return self.split[self._order[index * self.batch_size : (index + 1) * self.batch_size]]

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch."""
        self._epoch += 1
        self._order = self._draw_order()

    def _draw_order(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(len(self.split))
        # The epoch is part of the seed, so an epoch's order does not depend on what ran before.
        return np.random.default_rng([self.seed, self._epoch]).permutation(len(self.split))
