"""`GateUse`: how often each gate is open, for whom, and what that tells about the label."""

from typing import Any

import numpy as np

SELDOM = 0.05
TINY = 1e-300


class GateUse:
    """How often each gate of a layer is open, over batches of samples and their positions.

    Args:
        gates: Integer, the number of gates.

    Examples:
        >>> use = GateUse(2)
        >>> use.add(np.array([[1, 1], [1, 0]]))
        >>> use.ratio.tolist(), use.varying
        ([1.0, 0.5], 0.5)
    """

    def __init__(self, gates: int) -> None:
        self._gates = gates
        self._counts: dict[Any, float] = {}
        self._open: dict[Any, np.ndarray] = {}

    def add(self, mask: np.ndarray, labels: np.ndarray | None = None) -> None:
        """Add the masks of a batch.

        Args:
            mask: Array of shape `(samples, ..., gates)`, means of zeros and ones.
            labels: Integer array, a class for each sample or for each position. Defaults to
                `None`.
        """
        rows = mask.reshape(-1, self._gates)
        if labels is None or labels.ndim >= mask.ndim:  # finer than what the gates decide
            self._add(None, rows)
            return
        lead = np.broadcast_to(_with_rank(labels, mask.ndim - 1), mask.shape[:-1]).reshape(-1)
        for label in np.unique(lead):
            self._add(label, rows[lead == label])

    def _add(self, label: Any, rows: np.ndarray) -> None:
        self._counts[label] = self._counts.get(label, 0) + len(rows)
        before = self._open.get(label, np.zeros(self._gates))
        self._open[label] = before + rows.sum(axis=0, dtype="float64")

    @property
    def ratio(self) -> np.ndarray:
        """Open ratio of each gate, of shape `(gates,)`."""
        total = np.sum(list(self._open.values()), axis=0)
        return np.asarray(total / sum(self._counts.values()))

    @property
    def varying(self) -> float:
        """Share of the gates that are open for 5 to 95 % of the inputs."""
        ratio = self.ratio
        return float(np.mean((ratio >= SELDOM) & (ratio <= 1.0 - SELDOM)))

    @property
    def labelled(self) -> bool:
        """Whether all masks came with labels."""
        return None not in self._counts

    @property
    def bits(self) -> float:
        """What a gate tells about the label, in bits, on average: its mutual information."""
        counts = np.array(list(self._counts.values()))
        shares = np.stack([self._open[label] / count for label, count in self._counts.items()])
        weights = counts / counts.sum()
        return float(np.mean(_bits(weights @ shares) - weights @ _bits(shares)))


def _bits(probability: np.ndarray) -> np.ndarray:
    """Give the entropy, in bits, of gates that are open with the given probabilities."""
    probability = np.asarray(probability, "float64")
    terms = [share * np.log2(np.maximum(share, TINY)) for share in (probability, 1.0 - probability)]
    return np.asarray(-(terms[0] + terms[1]))


def _with_rank(labels: np.ndarray, rank: int) -> np.ndarray:
    return labels.reshape(*labels.shape, *([1] * (rank - labels.ndim)))
