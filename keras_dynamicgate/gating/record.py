"""A record of what the gates of a model decide while it runs eagerly."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating.not_a_number import check_decided

Gate = Any  # `gate.py` imports this file

_record: "contextvars.ContextVar[GateRecord | None]" = contextvars.ContextVar(
    "gate_record", default=None
)


@contextlib.contextmanager
def record_gates() -> "Iterator[GateRecord]":
    """Collect what every gate decides in the eager inference calls inside the `with` block.

    Yields:
        A `GateRecord`.

    Examples:
        >>> layer = keras_dynamicgate.DynamicGateDense(64)
        >>> with record_gates() as record:
        ...     _ = layer(keras.ops.ones((2, 16)), training=False)
        >>> record.masks()[layer.gate].shape
        (2, 32)
    """
    record = GateRecord()
    token = _record.set(record)
    try:
        yield record
    finally:
        _record.reset(token)


def record_batches(
    model: keras.Model, x: Any, batch_size: int, argument: str = "x"
) -> "Iterator[tuple[slice, GateRecord]]":
    """Run a model on inputs, batch by batch, and record what its gates decide.

    Args:
        model: A Keras model.
        x: Inputs as for `model.predict`: an array or a list or dict of arrays.
        batch_size: Integer, the number of samples that run at once.
        argument: Name of the caller's argument, for the error. Defaults to `"x"`.

    Yields:
        For each batch the `slice` of its samples and its `GateRecord`.

    Raises:
        ValueError: If there are no samples, not as many of them for each input, or NaN that
            reaches a gate or an output.
    """
    samples = count_samples(x, argument)
    for start in range(0, samples, batch_size):
        chosen = slice(start, min(start + batch_size, samples))
        batch = keras.tree.map_structure(lambda array, rows=chosen: array[rows], x)
        with record_gates() as record:
            record.outputs = model(batch, training=False)
        check_decided(record.probabilities(padding=True), record.outputs, batch, start, argument)
        yield chosen, record


def count_samples(x: Any, argument: str) -> int:
    """Give the number of samples in inputs as for `model.predict`.

    Args:
        x: An array or a list or dict of arrays.
        argument: Name of the caller's argument, for the error.

    Raises:
        ValueError: If there are no samples, not as many of them for each input, or no arrays.
    """
    for array in keras.tree.flatten(x):
        if not getattr(array, "shape", ()):
            raise ValueError(
                f"Argument `{argument}` must be an array or a list or dict of arrays of samples; "
                "of a data set or generator, give the inputs of some batches. "
                f"Received: {argument} with a {type(array).__name__}"
            )
    counts = sorted({len(array) for array in keras.tree.flatten(x)})
    if len(counts) > 1:
        raise ValueError(
            f"Argument `{argument}` must hold as many samples for each input of the model. "
            f"Received: arrays of {', '.join(map(str, counts))} samples"
        )
    if counts == [0]:
        raise ValueError(
            f"Argument `{argument}` must hold at least one sample. Received: no samples"
        )
    return counts[0]


def note(gate: Gate, probability: Any, mask: Any, weights: Any = None) -> None:
    """Add a decision of a gate to the record that is open, if there is one.

    Args:
        gate: The `Gate`.
        probability: Its probabilities, of shape `(samples or 1, ..., gates)`.
        mask: Its masks, likewise.
        weights: 1 for the positions that count and 0 for padding, of a shape that broadcasts to
            `(samples, ..., 1)`. Defaults to `None`: all count.
    """
    record = _record.get()
    if record is not None:
        record.add(gate, probability, mask, weights)


class GateRecord:
    """Gate probabilities and masks of one batch, as NumPy arrays, by gate.

    A gate that is called several times, in a shared layer, gives the mean over its calls. Padding
    stands as the mean over the other positions of its sample, and a sample of padding alone as the
    mean over the other samples.

    Attributes:
        outputs: What the model gave for the batch, where `record_batches` ran it.
    """

    def __init__(self) -> None:
        self.outputs: Any = None
        self._calls: dict[Gate, list[_Call]] = {}

    def add(self, gate: Gate, probability: Any, mask: Any, weights: Any = None) -> None:
        """Add one call of a gate, as `note` does."""
        call = _Call(
            ops.convert_to_numpy(probability),
            ops.convert_to_numpy(mask),
            None if weights is None else ops.convert_to_numpy(weights),
        )
        self._calls.setdefault(gate, []).append(call)

    def probabilities(self, padding: bool = False) -> dict[Gate, np.ndarray]:
        """Give each gate's probabilities, of shape `(samples or 1, ..., gates)`.

        Args:
            padding: Whether padding stands as it was decided. Defaults to `False`.
        """
        return self._over_calls("probability", padding)

    def masks(self, padding: bool = False) -> dict[Gate, np.ndarray]:
        """Give each gate's masks, of shape `(samples or 1, ..., gates)`.

        Args:
            padding: Whether padding stands as it was decided. Defaults to `False`.
        """
        return self._over_calls("mask", padding)

    def _over_calls(self, name: str, padding: bool) -> dict[Gate, np.ndarray]:
        return {
            gate: _mean(
                [
                    _without_padding(getattr(call, name), None if padding else call.weights)
                    for call in calls
                ]
            )
            for gate, calls in self._calls.items()
        }


class _Call(NamedTuple):
    probability: np.ndarray
    mask: np.ndarray
    weights: np.ndarray | None


def _without_padding(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Put means in the places of padding."""
    if weights is None or weights.all():
        return values
    counts = np.broadcast_to(weights > 0, (*values.shape[:-1], 1))
    if not counts.any():
        return values
    positions = tuple(range(1, values.ndim - 1))
    numbers = counts.sum(axis=positions, keepdims=True)
    sums = np.where(counts, values, 0.0).sum(axis=positions, keepdims=True)
    means = sums / np.maximum(numbers, 1)
    others = means.sum(axis=0, keepdims=True) / (numbers > 0).sum(axis=0, keepdims=True)
    return np.where(counts, values, np.where(numbers > 0, means, others)).astype(values.dtype)


def _mean(calls: list[np.ndarray]) -> np.ndarray:
    """Average over calls; over their positions first where they differ in these."""
    if len({call.shape for call in calls}) > 1:
        calls = [call.reshape(len(call), -1, call.shape[-1]).mean(axis=1) for call in calls]
    return np.asarray(np.mean(calls, axis=0))
