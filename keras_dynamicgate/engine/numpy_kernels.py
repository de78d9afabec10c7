"""The steps of an engine in NumPy: correct without Numba, but slower."""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_dynamicgate.engine import steps


class NumpyKernels:
    """Runs a plan with NumPy, samples grouped by block, one product per block.

    Args:
        plan: The `steps.Plan` to run; its weights are copied.
    """

    def __init__(self, plan: steps.Plan) -> None:
        self.plan = copy.deepcopy(plan)

    def weight_bytes(self) -> int:
        """Count the bytes of the weights."""
        arrays = [
            value
            for step in self.plan.steps
            for value in vars(step).values()
            if isinstance(value, np.ndarray)
        ]
        return sum(array.nbytes for array in arrays)

    def run(self, inputs: np.ndarray, outputs: np.ndarray, prices: np.ndarray) -> None:
        """Compute the outputs of a batch.

        Args:
            inputs: Float32 array of shape `(rows, features)`.
            outputs: Float32 array of shape `(rows, features)` that is written.
            prices: Float32 array of what each gate charges.
        """
        batch = Batch(self.plan, inputs, outputs, prices)
        # A closed block holds numbers of earlier steps, which may overflow.
        with np.errstate(all="ignore"):
            for step in self.plan.steps:
                RUN[type(step)](batch, step)


class Batch:
    """The buffers and masks of one batch, on which steps run."""

    def __init__(
        self, plan: steps.Plan, inputs: np.ndarray, outputs: np.ndarray, prices: np.ndarray
    ) -> None:
        self.inputs, self.outputs, self.prices = inputs, outputs, prices
        rows = {True: len(inputs), False: len(outputs)}
        self.buffers = [
            np.zeros((rows[buffer.per_position], buffer.width), "float32")
            for buffer in plan.buffers
        ]
        self.masks: list[Any] = [None] * len(plan.masks)

    def load(self, step: steps.Load) -> None:
        target = self.buffers[step.target]
        if step.take is None:
            target[:] = self.inputs
            return
        if len(step.take):
            target[:] = self.inputs[:, step.take]
        # 0 for finite rows, NaN for the others.
        target += (self.inputs * 0.0).sum(axis=1, keepdims=True)

    def product(self, step: steps.Product) -> None:
        source, target = self.buffers[step.source], self.buffers[step.target]
        gates = step.out_mask.gates if step.out_mask else 1
        size = step.kernel.shape[1] // gates
        width = step.out_mask.block if step.out_mask else size
        for block in range(gates):
            rows = self._open_rows(step.out_mask, block, len(source))
            if len(rows):
                part = slice(block * size, (block + 1) * size)
                sums = self._sums(step, source, rows, part)
                target[rows, block * width : block * width + size] = activate(
                    step.activation, step.slope, sums + step.bias[part]
                )

    def _open_rows(self, mask: steps.Mask | None, block: int, count: int) -> np.ndarray:
        if mask is None:
            return np.arange(count)
        return np.flatnonzero(self.masks[mask.index][:, block])

    def _sums(
        self, step: steps.Product, source: np.ndarray, rows: np.ndarray, part: slice
    ) -> np.ndarray:
        if step.in_mask is None:
            return source[rows] @ step.kernel[:, part]
        sums = np.zeros((len(rows), part.stop - part.start), "float32")
        for block in range(step.in_mask.gates):
            at = np.flatnonzero(self.masks[step.in_mask.index][rows, block])
            if len(at):
                features = slice(block * step.in_mask.block, (block + 1) * step.in_mask.block)
                sums[at] += source[rows[at], features] @ step.kernel[features, part]
        return sums

    def decide(self, step: steps.Decide) -> None:
        logits = self.buffers[step.source][:, : step.mask.gates]
        if step.top_k:
            mask = largest(logits, step.top_k)
        else:
            threshold = np.float32(step.logit_threshold) + self.prices[step.price]
            mask = logits / np.float32(step.temperature) > threshold
            if step.fewest:
                mask |= largest(logits, step.fewest)
        # A row with NaN opens all gates, so that its outputs are NaN as in the model.
        mask |= np.isnan(logits).any(axis=1, keepdims=True)
        self.masks[step.mask.index] = mask

    def shut(self, step: steps.Shut) -> None:
        is_open = step.margins > self.prices[step.price]
        self.buffers[step.target][:, : len(is_open)] *= is_open

    def multiply(self, step: steps.Multiply) -> None:
        self.buffers[step.target] *= self.buffers[step.source]

    def close_blocks(self, step: steps.CloseBlocks) -> None:
        width = step.mask.gates * step.mask.block
        is_open = np.repeat(self.masks[step.mask.index], step.mask.block, axis=1)
        self.buffers[step.target][:, :width][~is_open] = 0.0

    def affine(self, step: steps.Affine) -> None:
        target = self.buffers[step.target]
        target[:] = target * step.scale + step.shift

    def normalize(self, step: steps.Normalize) -> None:
        values = self.buffers[step.target][:, : len(step.scale)]
        if step.centred:
            values -= values.mean(axis=1, keepdims=True)
        variance = np.square(values).mean(axis=1, keepdims=True)
        values[:] = values / np.sqrt(variance + np.float32(step.epsilon)) * step.scale + step.shift

    def activate(self, step: steps.Activate) -> None:
        values = self.buffers[step.target][:, : step.width]
        values[:] = activate(step.activation, step.slope, values)

    def rearrange(self, step: steps.Rearrange) -> None:
        source, target = self.buffers[step.source], self.buffers[step.target]
        features = gather(source, step.columns)
        target[:, : step.positions * len(step.columns)] = features.reshape(len(target), -1)

    def store(self, step: steps.Store) -> None:
        self.outputs[:] = gather(self.buffers[step.source], step.columns)


RUN: dict[type, Callable[..., None]] = {
    steps.Load: Batch.load,
    steps.Product: Batch.product,
    steps.Decide: Batch.decide,
    steps.Shut: Batch.shut,
    steps.Multiply: Batch.multiply,
    steps.CloseBlocks: Batch.close_blocks,
    steps.Affine: Batch.affine,
    steps.Normalize: Batch.normalize,
    steps.Activate: Batch.activate,
    steps.Rearrange: Batch.rearrange,
    steps.Store: Batch.store,
}


def gather(values: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Take columns of an array; -1 stands for a column of zeros."""
    taken = values[:, columns]
    taken[:, columns < 0] = 0.0
    return taken


def largest(logits: np.ndarray, count: int) -> np.ndarray:
    """Mark the `count` largest of each row; the lower index wins a tie."""
    order = np.argsort(-logits, axis=1, kind="stable")
    mask = np.zeros(logits.shape, bool)
    np.put_along_axis(mask, order[:, :count], True, axis=1)
    return mask


def _sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def _elu(x: Any, slope: Any) -> Any:
    return np.where(x > 0, x, slope * np.expm1(np.minimum(x, 0)))


def _softplus(x: Any) -> Any:
    return np.logaddexp(x, np.float32(0))


def _softmax(x: Any) -> Any:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _log_softmax(x: Any) -> Any:
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


_erf = np.vectorize(math.erf, otypes=["float32"])
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

ACTIVATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "linear": lambda x, slope: x,
    "relu": lambda x, slope: np.maximum(x, 0),
    "leaky_relu": lambda x, slope: np.where(x < 0, slope * x, x),
    "relu6": lambda x, slope: np.clip(x, 0, 6),
    "elu": _elu,
    "selu": lambda x, slope: SELU_SCALE * _elu(x, SELU_ALPHA),
    "tanh": lambda x, slope: np.tanh(x),
    "gelu": lambda x, slope: 0.5 * x * (1.0 + _erf(x * math.sqrt(0.5))),
    "silu": lambda x, slope: x * _sigmoid(x),
    "softsign": lambda x, slope: x / (1.0 + np.abs(x)),
    "mish": lambda x, slope: x * np.tanh(_softplus(x)),
    "hard_silu": lambda x, slope: x * np.clip(x / 6.0 + 0.5, 0, 1),
    "sigmoid": lambda x, slope: _sigmoid(x),
    "softplus": lambda x, slope: _softplus(x),
    "exponential": lambda x, slope: np.exp(x),
    "hard_sigmoid": lambda x, slope: np.clip(x / 6.0 + 0.5, 0, 1),
    "softmax": lambda x, slope: _softmax(x),
    "log_softmax": lambda x, slope: _log_softmax(x),
}


def activate(name: str, slope: float, values: np.ndarray) -> np.ndarray:
    """Apply an activation function by its name."""
    return ACTIVATIONS[name](values, np.float32(slope))
