"""Batches of a split, in an order that depends on the seed alone."""

from typing import TYPE_CHECKING

import keras
import numpy as np

if TYPE_CHECKING:
    from keras_dynamicgate.datasets._dataset import Split


class Batches(keras.utils.PyDataset):
    """A split in batches, as `fit`, `evaluate` and `predict` accept them on every backend.

    Samples are decoded or made dense one batch at a time. `fit` shuffles the order of batches by
    itself, from Python's global seed: pass it `shuffle=False` where `seed` alone shall decide.

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

    def __init__(self, split: "Split", *, batch_size: int, shuffle: bool, seed: int) -> None:
        super().__init__()
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(
                f"`batch_size` must be a positive integer. Received: batch_size={batch_size}"
            )
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
            raise IndexError(f"`index` must be in [0, {len(self)}). Received: index={index}")
        return self.split[self._order[index * self.batch_size : (index + 1) * self.batch_size]]

    def on_epoch_end(self) -> None:
        """Draws the order of the next epoch."""
        self._epoch += 1
        self._order = self._draw_order()

    def _draw_order(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(len(self.split))
        # The epoch is part of the seed, so an epoch's order does not depend on what ran before.
        return np.random.default_rng([self.seed, self._epoch]).permutation(len(self.split))
