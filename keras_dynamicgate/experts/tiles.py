"""A compiled loop over tiles: some tokens that have chosen the same expert.

Shapes are static and only the loop looks at the choices, so it runs inside `jax.jit` and XLA. Pairs
of a token and an expert are sorted by expert and cut into tiles of a fixed number of rows. The last
tile of an expert reaches into the rows of the next one, which then writes over them.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_dynamicgate.experts.bank import ExpertBank


def weighted_sum(
    bank: ExpertBank, tokens: Any, weights: Any, stacked: Any, top_k: int, rows: int
) -> Any:
    """Compute the chosen experts of each token and add up what they give.

    Args:
        bank: An `ExpertBank`.
        tokens: Tensor of shape `(tokens, features)`.
        weights: Tensor of shape `(tokens, experts)`, at most `top_k` of each row not 0.
        stacked: Sequence of the stacked weights of the bank.
        top_k: Integer.
        rows: Integer, the rows of a tile.

    Returns:
        Tensor of shape `(tokens, units)`.
    """
    count, experts = weights.shape
    pairs = count * top_k
    # Not by `top_k`, whose sizes the compiler in TensorFlow 2.21 takes to be unknown, and crashes.
    expert = ops.cast(ops.argsort(ops.negative(weights), axis=-1), "int32")[:, :top_k]
    weight = ops.take_along_axis(weights, expert, axis=-1)
    order = ops.cast(ops.argsort(ops.reshape(expert, (pairs,))), "int32")
    token = ops.floor_divide(order, top_k)
    sorted_tokens = _padded(ops.take(tokens, token, axis=0), rows)
    sorted_weights = _padded(ops.take(ops.reshape(weight, (pairs, 1)), order, axis=0), rows)
    expert_of_tile, first_row, tiles = _tiles(expert, experts, rows)

    def step(tile: Any, outputs: Any) -> Any:
        part = [
            ops.slice(
                each, (expert_of_tile[tile], *[0] * (len(each.shape) - 1)), (1, *each.shape[1:])
            )
            for each in stacked
        ]
        start = (first_row[tile], 0)
        result = bank.one(
            ops.slice(sorted_tokens, start, (rows, tokens.shape[1])),
            ops.slice(sorted_weights, start, (rows, 1)),
            part,
        )
        return ops.slice_update(outputs, start, result)

    outputs = ops.zeros((sorted_tokens.shape[0], bank.units), tokens.dtype)
    outputs = _loop(tiles, expert_of_tile.shape[0], step, outputs)
    places = ops.argsort(order)
    return ops.sum(ops.reshape(ops.take(outputs, places, axis=0), (count, top_k, -1)), axis=1)


def _loop(steps: Any, most: int, step: Callable[..., Any], outputs: Any) -> Any:
    """Do so many steps as there are tiles, of the most that there can be."""
    if keras.backend.backend() != "tensorflow":
        # Unlike a branch in each step, this never copies the outputs.
        return ops.while_loop(
            lambda tile, outputs: ops.less(tile, steps),
            lambda tile, outputs: (tile + 1, step(tile, outputs)),
            (ops.zeros((), "int32"), outputs),
        )[1]

    def body(tile: Any, value: Any) -> Any:
        return ops.cond(ops.less(tile, steps), lambda: step(tile, value), lambda: value)

    # The compiler in TensorFlow 2.21 crashes where the number of steps is a tensor.
    return ops.fori_loop(0, most, body, outputs)


def _padded(x: Any, rows: int) -> Any:
    return ops.pad(x, ((0, rows - 1), (0, 0))) if rows > 1 else x


def _tiles(expert: Any, experts: int, rows: int) -> tuple[Any, Any, Any]:
    """Give the expert and the first row of each tile, and how many tiles there are."""
    pairs = expert.shape[0] * expert.shape[1]
    chosen = ops.one_hot(ops.reshape(expert, (pairs,)), experts, dtype="int32")
    counts = ops.sum(chosen, axis=0)
    starts = ops.subtract(ops.cumsum(counts), counts)
    tiles = ops.floor_divide(counts + (rows - 1), rows)
    ends = ops.cumsum(tiles)
    tile = ops.arange(min(pairs, pairs // rows + experts), dtype="int32")
    past = ops.cast(ops.greater_equal(tile[:, None], ends[None, :]), "int32")
    of_tile = ops.minimum(ops.sum(past, axis=-1), experts - 1)
    before = ops.take(ends - tiles, of_tile)
    return of_tile, ops.take(starts, of_tile) + (tile - before) * rows, ends[-1]
