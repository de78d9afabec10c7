"""Preparing and running single tiles: where their panels, rows and segments lie."""

import numpy as np
from numba import njit

from keras_dynamicgate.engine.compiled import opcodes as op
from keras_dynamicgate.engine.compiled.activations import activate
from keras_dynamicgate.engine.compiled.tile import ROWS, tile

# The scratch of a worker: offsets of a tile's panels, columns, input rows, output rows and starting
# rows (zeros), the addresses of `tile` and `activate`, the segments of inputs and of weights.
PANEL, COLUMN, INPUT_ROW, OUTPUT_ROW, NO_ROW = range(0, 40, 8)
TILE, ACTIVATE, SEGMENT = 40, 41, 48

_FLOOR_ZERO, _NO_FLOOR = np.float32(0.0), np.float32(-np.inf)


@njit(error_model="numpy")
def set_segment(step, memory, n, count, block):
    """Write down which input block the `n`-th of `count` segments is."""
    memory.scratch[SEGMENT + n] = block * step[op.IN_BLOCK]
    stride = step[op.OUT_GATES] * step[op.OUT_BLOCK] * step[op.IN_BLOCK]
    memory.scratch[SEGMENT + count + n] = block * stride


@njit(error_model="numpy")
def set_panel(step, memory, j, panel):
    """Write down which panel the `j`-th one of a tile is."""
    width = step[op.PANEL_WIDTH]
    group, inside = panel // step[op.PANEL_GROUP], panel % step[op.PANEL_GROUP]
    rows = step[op.IN_BLOCK] * step[op.PANEL_GROUP]
    memory.scratch[PANEL + j] = (group * rows + inside) * width
    memory.scratch[COLUMN + j] = panel * width


@njit(error_model="numpy")
def set_row(step, memory, i, row):
    """Write down which row the `i`-th one of a tile is."""
    memory.scratch[INPUT_ROW + i] = row * step[op.SOURCE_STRIDE]
    memory.scratch[OUTPUT_ROW + i] = row * step[op.TARGET_STRIDE]


@njit(error_model="numpy")
def next_panels(left):
    """Give the panels of the next tile, when `left` of them are to be done."""
    return 4 if left >= 4 else 2 if left >= 2 else 1


@njit(error_model="numpy")
def run_tile(step, memory, rows, panels, segments, whole):
    """Run one tile of the rows, panels and segments that were written down.

    A whole tile starts from the bias and ends with the activation; others add to the output.
    """
    at, floats = memory.scratch.ctypes.data, memory.weights.ctypes.data
    source = memory.values.ctypes.data + 4 * step[op.SOURCE]
    target = memory.values.ctypes.data + 4 * step[op.TARGET]
    start, start_rows = target, at + 8 * OUTPUT_ROW
    if whole:
        start, start_rows = floats + 4 * step[op.BIAS], at + 8 * NO_ROW
    code, width = step[op.ACTIVATION], step[op.PANEL_WIDTH]
    floor = _FLOOR_ZERO if whole and code == op.Activation.RELU else _NO_FLOOR
    inputs, weights = at + 8 * SEGMENT, at + 8 * (SEGMENT + segments)
    # fmt: off
    tile(
        memory.scratch[TILE], width, rows, panels, source, at + 8 * INPUT_ROW, inputs,
        floats + 4 * step[op.WEIGHTS], weights, at + 8 * PANEL, segments, step[op.IN_BLOCK],
        width * step[op.PANEL_GROUP], start, start_rows, target, at + 8 * OUTPUT_ROW,
        at + 8 * COLUMN, floor,
    )
    # fmt: on
    if whole and code > op.Activation.RELU:
        slope = memory.weights[step[op.PARAMETERS]]
        for i in range(max(1, rows)):
            for j in range(panels):
                place = memory.scratch[OUTPUT_ROW + i] + memory.scratch[COLUMN + j]
                activate(memory.scratch[ACTIVATE], code, slope, target + 4 * place, width)


@njit(error_model="numpy")
def run_panels(step, memory, rows, panel, count, whole):
    """Run tiles of the rows that were written down and `count` neighbouring panels."""
    done = 0
    while done < count:
        panels = next_panels(count - done)
        for j in range(panels):
            set_panel(step, memory, j, panel + done + j)
        run_tile(step, memory, rows, panels, 1, whole)
        done += panels


@njit(error_model="numpy")
def run_rows(step, memory, entries, first, last, panel, count, whole):
    """Run tiles of the rows `first` to `last` of a list (-1: of the batch) and some panels."""
    for begin in range(first, last, ROWS):
        size = min(ROWS, last - begin)
        for i in range(size):
            row = begin + i if entries < 0 else memory.lists[entries + begin + i]
            set_row(step, memory, i, row)
        run_panels(step, memory, size, panel, count, whole)


@njit(error_model="numpy")
def start_from_bias(step, memory, entries, first, last, panel, count):
    """Write the bias into some columns of some rows of the output."""
    width = step[op.PANEL_WIDTH]
    first_bias = step[op.BIAS] + panel * width
    bias = memory.weights[first_bias : first_bias + count * width]
    for n in range(first, last):
        row = n if entries < 0 else memory.lists[entries + n]
        at = step[op.TARGET] + row * step[op.TARGET_STRIDE] + panel * width
        target = memory.values[at : at + count * width]
        for i in range(count * width):
            target[i] = bias[i]


@njit(error_model="numpy")
def finish(step, memory, entries, first, last, panel, count):
    """Apply the activation to some columns of some rows of the output."""
    code, width = step[op.ACTIVATION], step[op.PANEL_WIDTH]
    slope = memory.weights[step[op.PARAMETERS]]
    if code == op.Activation.LINEAR:
        return
    for n in range(first, last):
        row = n if entries < 0 else memory.lists[entries + n]
        at = step[op.TARGET] + row * step[op.TARGET_STRIDE] + panel * width
        address = memory.values.ctypes.data + 4 * at
        activate(memory.scratch[ACTIVATE], code, slope, address, count * width)
