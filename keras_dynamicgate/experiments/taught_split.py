"""Labels with a teacher's answers beside them."""

import numpy as np

from keras_dynamicgate.datasets import Split


class TaughtSplit:
    """A split whose labels are followed by the logits of a teacher.

    Args:
        split: A `keras_dynamicgate.datasets.Split`.
        logits: Array of shape `(samples, classes)`, the teacher's answers to the split's samples.
    """

    def __init__(self, split: Split, logits: np.ndarray) -> None:
        self.split = split
        self.targets = np.concatenate([split.y[:, None], logits], axis=1).astype("float32")

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, rows: slice | np.ndarray | list[int]) -> tuple[np.ndarray, np.ndarray]:
        return self.split[rows][0], self.targets[rows]
