"""From the times of whole models to those of their products."""

from collections.abc import Sequence

import numpy as np

from keras_dynamicgate.latency.product_times import climbs

# How much what MACs say counts, beside times that were measured.
PRIOR = 0.02
SWEEPS = 2000


class Terms:
    """The terms of which the time of one product is the sum, each at least 0 and rising.

    A term is how far the share of the inputs has climbed between two neighbouring knots, or that of
    the outputs, or the product of both. So the time is linear between knots in both directions and
    never falls as more is open.

    Args:
        input_knots: Numbers from 0 to 1 that rise, `(1.0,)` for inputs that no gate closes.
        output_knots: The same for the outputs.
    """

    def __init__(self, input_knots: Sequence[float], output_knots: Sequence[float]) -> None:
        self.knots = tuple(input_knots), tuple(output_knots)
        rows, columns = len(input_knots), len(output_knots)
        self._pairs = [(i, j) for i in range(rows) for j in range(columns) if i or j]

    def __len__(self) -> int:
        return len(self._pairs)

    def at(self, inputs: float, outputs: float) -> np.ndarray:
        """Give each term at open shares, of shape `(terms,)`."""
        one, other = (
            [1.0, *map(float, climbs(np.float64(share), knots))]
            for share, knots in zip((inputs, outputs), self.knots, strict=True)
        )
        return np.array([one[i] * other[j] for i, j in self._pairs])

    def by_macs(self, macs: float) -> np.ndarray:
        """Give the factors of terms whose sum are the multiply-accumulates at any shares."""
        one, other = ([knots[0] * (len(knots) == 1), *np.diff(knots)] for knots in self.knots)
        return np.array([macs * one[i] * other[j] for i, j in self._pairs])

    def times(self, factors: np.ndarray) -> tuple[tuple[float, ...], ...]:
        """Give the sum of the terms at each pair of knots."""
        return tuple(
            tuple(float(factors @ self.at(a, b)) for b in self.knots[1]) for a in self.knots[0]
        )


def fit(
    terms: Sequence[Terms],
    macs: Sequence[float],
    shares: Sequence[Sequence[tuple[float, float]]],
    times: np.ndarray,
) -> tuple[float, list[np.ndarray]]:
    """Find what terms take, none less than 0, so that they come closest to measured times.

    Errors count in relation to the time. Where times leave it open which product takes how much, it
    is shared out by multiply-accumulates.

    Args:
        terms: The `Terms` of each product.
        macs: The multiply-accumulates of each product.
        shares: For each measurement the open shares of inputs and outputs of each product.
        times: The measured times, of shape `(measurements,)`.

    Returns:
        The time of all else, and the factors of the terms of each product.
    """
    rows = [
        np.concatenate([each.at(*pair) for each, pair in zip(terms, pairs, strict=True)])
        for pairs in shares
    ]
    by_macs = np.concatenate([each.by_macs(m) for each, m in zip(terms, macs, strict=True)])
    matrix = np.stack(rows)
    # A straight line through the times over their multiply-accumulates, as a start.
    design = np.stack([np.ones(len(times)), matrix @ by_macs], axis=1) / times[:, None]
    rest, slope = nonnegative(design, np.ones(len(times)), np.zeros(2))
    start = np.concatenate([[rest], slope * by_macs])
    weighted = np.concatenate([np.ones((len(times), 1)), matrix], axis=1) / times[:, None]
    kept = np.sqrt(PRIOR) * np.eye(len(start))[1:] / np.median(times)
    factors = nonnegative(
        np.concatenate([weighted, kept]),
        np.concatenate([np.ones(len(times)), kept @ start]),
        start,
    )
    ends = np.cumsum([1, *map(len, terms)])
    parts = [factors[begin:end] for begin, end in zip(ends, ends[1:], strict=False)]
    return float(factors[0]), parts


def nonnegative(matrix: np.ndarray, wanted: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Give the numbers of at least 0 for which `matrix @ numbers` comes closest to `wanted`.

    Args:
        matrix: Array of shape `(rows, numbers)` without columns of zeros.
        wanted: Array of shape `(rows,)`.
        start: Array of shape `(numbers,)`, where to begin.
    """
    size = np.sqrt(np.sum(matrix**2, axis=0))
    scaled = matrix / size
    gram, target = scaled.T @ scaled, scaled.T @ wanted
    found = start * size
    for _ in range(SWEEPS):
        for each in range(len(found)):
            found[each] = max(0.0, found[each] - (gram[each] @ found - target[each]))
    return found / size
