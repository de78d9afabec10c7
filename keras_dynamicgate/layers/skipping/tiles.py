"""A compiled loop over tiles: a block of hidden units with the positions that have it open.

Shapes are static and only the loop looks at the mask, so it runs inside `jax.jit` and XLA. With one
position, or one mask for all of them, a tile is a block with all positions. Otherwise each block's
positions are sorted to the front and cut into tiles of a fixed number of rows; a tile without an
open position is not computed.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

# A tile costs more than its share of one large product: with every gate open the loop took 1.1 to
# 1.6 times as long as masked execution. Above this share of the work masked execution runs.
WORK_LIMIT = 0.65
TILES = (4, 8, 16, 32, 64)


def masked(x: Any, mask: Any, weights: Any, *, activation: Any, block_size: int) -> Any:
    """Compute every block and multiply by the mask.

    Args:
        x: Tensor of shape `(positions, features)`.
        mask: Tensor of shape `(positions or 1, gates)`.
        weights: The `Weights` of the feed-forward block.
        activation: Function that maps each number by itself.
        block_size: Integer, the hidden units that share a gate.

    Returns:
        Tensor of shape `(positions, units)`.
    """
    hidden = _hidden_units(x, weights, activation)
    hidden = ops.multiply(hidden, ops.repeat(mask, block_size, axis=-1))
    return _add_bias(ops.matmul(hidden, weights.output_kernel), weights.output_bias)


def skip(
    x: Any,
    mask: Any,
    weights: Any,
    *,
    activation: Any,
    block_size: int,
    shared_mask: bool,
    fewest_rows: int,
) -> Any:
    """Compute the open blocks only, or `masked` where so much is open that this is quicker.

    Args:
        x: Tensor of shape `(positions, features)`.
        mask: Tensor of shape `(positions or 1, gates)`.
        weights: The `Weights` of the feed-forward block.
        activation: Function that maps each number by itself.
        block_size: Integer, the hidden units that share a gate.
        shared_mask: Boolean, whether `mask` has one row for all positions.
        fewest_rows: Integer, how many rows a product has at the least.

    Returns:
        Tensor of shape `(positions, units)`.
    """
    if shared_mask:
        share, compute = _shared_mask(x, mask, weights, activation, block_size, fewest_rows)
    else:
        share, compute = _mask_for_each(x, mask, weights, activation, block_size)
    outputs = ops.cond(
        ops.less_equal(share, WORK_LIMIT),
        compute,
        lambda: masked(x, mask, weights, activation=activation, block_size=block_size),
    )
    # In masked execution a closed block passes on a NaN of the input, for NaN times 0 is NaN.
    poison = ops.sum(ops.multiply(x, 0.0), axis=-1, keepdims=True)
    return ops.add(outputs, poison)


def _shared_mask(
    x: Any, mask: Any, weights: Any, activation: Any, block_size: int, fewest_rows: int
) -> Any:
    gates, positions = mask.shape[-1], ops.shape(x)[0]
    opened = ops.greater(mask[0], 0)

    def compute() -> Any:
        rows = _pad(x, fewest_rows - positions)

        def step(block: Any, outputs: Any) -> Any:
            part = _block(weights, block, block_size)
            hidden = _hidden_units(rows, part, activation)
            return ops.add(outputs, ops.matmul(hidden, part.output_kernel))

        outputs = _loop(gates, opened, step, _zeros(rows, weights))
        return _add_bias(outputs[:positions], weights.output_bias)

    return ops.mean(mask), compute


def _mask_for_each(x: Any, mask: Any, weights: Any, activation: Any, block_size: int) -> Any:
    gates, positions = mask.shape[-1], ops.shape(x)[0]
    rows = tile_rows(positions)
    tiles = -(-positions // rows)
    columns = ops.transpose(mask)
    counts = ops.cast(ops.sum(columns, axis=-1, keepdims=True), "int32")
    place = ops.expand_dims(ops.arange(tiles * rows, dtype="int32"), 0)
    is_open = ops.reshape(ops.less(place, counts), (gates * tiles, rows))
    opened = ops.any(is_open, axis=-1)
    share = ops.divide(
        ops.cast(ops.sum(ops.cast(opened, "int32")) * rows, x.dtype),
        ops.cast(gates * positions, x.dtype),
    )

    def compute() -> Any:
        order = ops.cast(ops.argsort(ops.negative(columns), axis=-1), "int32")
        order = ops.pad(order, ((0, 0), (0, tiles * rows - positions)))
        order = ops.reshape(order, (gates * tiles, rows))
        weight = ops.cast(is_open, x.dtype)

        def step(tile: Any, outputs: Any) -> Any:
            part = _block(weights, tile // tiles, block_size)
            hidden = _hidden_units(ops.take(x, order[tile], axis=0), part, activation)
            hidden = ops.multiply(hidden, ops.expand_dims(weight[tile], -1))
            return _add_rows(outputs, order[tile], ops.matmul(hidden, part.output_kernel))

        outputs = _loop(gates * tiles, opened, step, _zeros(x, weights))
        return _add_bias(outputs, weights.output_bias)

    return share, compute


def tile_rows(positions: int) -> int:
    """Choose the rows of a tile: the largest power of two up to `2 * sqrt(positions)` and 64.

    Small tiles waste little on closed positions, large ones give faster products; this was the
    quickest, or within 10 % of it, from 8 to 256 positions.

    Args:
        positions: Integer or, where the batch size is not known while tracing, scalar tensor.

    Returns:
        Integer or scalar tensor, like `positions`; 2 at the least.
    """
    rows = 2
    for size in TILES:
        enough = positions >= size * size // 4
        if not isinstance(enough, bool):
            enough = ops.cast(enough, "int32")
        rows = rows + enough * (size // 2)
    return rows


def _hidden_units(x: Any, weights: Any, activation: Any) -> Any:
    hidden = activation(_add_bias(ops.matmul(x, weights.hidden_kernel), weights.hidden_bias))
    if weights.linear_kernel is None:
        return hidden
    linear = _add_bias(ops.matmul(x, weights.linear_kernel), weights.linear_bias)
    return ops.multiply(hidden, linear)


def _add_bias(x: Any, bias: Any) -> Any:
    return x if bias is None else ops.add(x, bias)


def _block(weights: Any, block: Any, size: int) -> Any:
    """Cut the weights of one block of hidden units out of those of all."""
    start = block * size

    def columns(kernel: Any) -> Any:
        return None if kernel is None else ops.slice(kernel, (0, start), (kernel.shape[0], size))

    def entries(bias: Any) -> Any:
        return None if bias is None else ops.slice(bias, (start,), (size,))

    kernel = weights.output_kernel
    return weights._replace(
        hidden_kernel=columns(weights.hidden_kernel),
        hidden_bias=entries(weights.hidden_bias),
        linear_kernel=columns(weights.linear_kernel),
        linear_bias=entries(weights.linear_bias),
        output_kernel=ops.slice(kernel, (start, 0), (size, kernel.shape[1])),
    )


def _loop(steps: Any, opened: Any, step: Callable[..., Any], outputs: Any) -> Any:
    """Do the steps that are opened; JAX can differentiate a loop with a fixed number of steps."""

    def body(index: Any, value: Any) -> Any:
        return ops.cond(opened[index], lambda: step(index, value), lambda: value)

    return ops.fori_loop(0, steps, body, outputs)


def _zeros(x: Any, weights: Any) -> Any:
    return ops.zeros((ops.shape(x)[0], weights.output_kernel.shape[1]), dtype=x.dtype)


def _pad(x: Any, missing: int) -> Any:
    if isinstance(missing, int):
        return x if missing <= 0 else ops.pad(x, ((0, missing), (0, 0)))
    return ops.pad(x, ((0, ops.maximum(missing, 0)), (0, 0)))


def _add_rows(x: Any, rows: Any, values: Any) -> Any:
    if keras.backend.backend() == "jax":
        return x.at[rows].add(values)
    import tensorflow as tf

    return tf.tensor_scatter_nd_add(x, rows[:, None], values)
