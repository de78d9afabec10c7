"""Compiled steps that go through the rows of a batch one by one: copies, normalisation."""

import math

import numpy as np
from numba import njit

from keras_dynamicgate.engine.compiled import opcodes as op
from keras_dynamicgate.engine.compiled.activations import activate
from keras_dynamicgate.engine.compiled.memory import floats_at

_ZERO = np.float32(0.0)
_NAN = np.float32(np.nan)
_EXPONENT = np.uint32(0x7F800000)

# Rows are sliced before the loops over their columns, and columns that cannot be -1 are read as
# unsigned: indices that might be negative keep a loop from being vectorized.


@njit
def _is_finite(values):
    """Tell whether no value is infinite or NaN: only these have all bits of the exponent set."""
    # Bits, because a sum of floats must keep its order and so is not vectorized.
    found = np.uint32(0)
    for bits in values.view(np.uint32):
        found |= np.uint32((bits & _EXPONENT) == _EXPONENT)
    return found == 0


@njit(error_model="numpy")
def load(step, tables, inputs, input_row, values, first, last):
    """Copy rows of the input, given by its address, from `input_row` on; see `steps.Load`."""
    table, width, features = step[op.TABLE], step[op.WIDTH], step[op.SOURCE_STRIDE]
    for row in range(first, last):
        at = step[op.TARGET] + row * step[op.TARGET_STRIDE]
        source = floats_at(inputs + 4 * (input_row + row) * features, features)
        target = values[at : at + width]
        if table < 0:
            for i in range(width):
                target[i] = source[i]
            continue
        columns = tables[table : table + width]
        for i in range(width):
            target[i] = source[np.uint32(columns[i])]
        if width == 0:
            values[at] = _ZERO
        if not _is_finite(source):
            values[at : at + max(1, width)] = _NAN


@njit
def _copy_columns(source, columns, target):
    """Copy one column after the other; -1 stands for a column of zeros."""
    for i in range(len(columns)):
        target[i] = source[columns[i]] if columns[i] >= 0 else _ZERO


@njit(error_model="numpy")
def store(step, tables, values, outputs, output_row, first, last):
    """Copy rows of a buffer into the output, given by its address, from `output_row` on."""
    columns = tables[step[op.TABLE] : step[op.TABLE] + step[op.WIDTH]]
    for row in range(first, last):
        at = step[op.SOURCE] + row * step[op.SOURCE_STRIDE]
        target = floats_at(outputs + 4 * (output_row + row) * len(columns), len(columns))
        _copy_columns(values[at:], columns, target)


@njit(error_model="numpy")
def rearrange(step, tables, values, first, last):
    """Copy into a buffer of plain layout; see `steps.Rearrange`."""
    width, positions = step[op.WIDTH], step[op.POSITIONS]
    columns = tables[step[op.TABLE] : step[op.TABLE] + width]
    for row in range(first, last):
        for position in range(positions):
            at = step[op.SOURCE] + (row * positions + position) * step[op.SOURCE_STRIDE]
            to = step[op.TARGET] + row * step[op.TARGET_STRIDE] + position * width
            _copy_columns(values[at:], columns, values[to:])


@njit(error_model="numpy")
def affine(step, weights, values, first, last):
    """Scale and shift every column."""
    width = step[op.WIDTH]
    scale = weights[step[op.PARAMETERS] : step[op.PARAMETERS] + width]
    shift = weights[step[op.PARAMETERS] + width : step[op.PARAMETERS] + 2 * width]
    for row in range(first, last):
        at = step[op.TARGET] + row * step[op.TARGET_STRIDE]
        v = values[at : at + width]
        for i in range(width):
            v[i] = v[i] * scale[i] + shift[i]


@njit(error_model="numpy")
def normalize(step, weights, values, first, last):
    """Bring every row to mean 0, if asked, and mean square 1; scale and shift its columns."""
    width, parameters = step[op.WIDTH], step[op.PARAMETERS]
    scale = weights[parameters + 2 : parameters + 2 + width]
    shift = weights[parameters + 2 + width : parameters + 2 + 2 * width]
    centred = weights[parameters + 1] > 0
    for row in range(first, last):
        at = step[op.TARGET] + row * step[op.TARGET_STRIDE]
        v = values[at : at + width]
        total = 0.0
        if centred:
            for i in range(width):
                total += v[i]
        mean = total / width
        squares = 0.0
        for i in range(width):
            squares += (v[i] - mean) ** 2
        # What is too large for a float32 overflows, as in the model.
        variance = np.float32(squares) / width
        inverse = np.float32(1.0 / math.sqrt(variance + weights[parameters]))
        centre = np.float32(np.float32(total) / width)
        for i in range(width):
            v[i] = (v[i] - centre) * inverse * scale[i] + shift[i]


@njit(error_model="numpy")
def activate_rows(step, weights, values, address, first, last):
    """Apply an activation function to rows."""
    code, slope = step[op.ACTIVATION], weights[step[op.PARAMETERS]]
    for row in range(first, last):
        at = values.ctypes.data + 4 * (step[op.TARGET] + row * step[op.TARGET_STRIDE])
        activate(address, code, slope, at, step[op.WIDTH])
