"""Compiled steps that go through the rows of a batch one by one: copies, normalisation."""

import math

import numpy as np
from numba import njit

from keras_dynamicgate.inference import opcodes as op
from keras_dynamicgate.inference.kernels_activations import activate

_ZERO = np.float32(0.0)
_NAN = np.float32(np.nan)
_WITHOUT_SIGN = np.int32(0x7FFFFFFF)
_INFINITY = np.int32(0x7F800000)


@njit
def _is_finite(values):
    """Whether no value is infinite or NaN: their bits, without the sign, are the largest."""
    # Integers, because sums of floats may not be reordered and so run one after the other.
    largest = np.int32(0)
    for bits in values.view(np.int32):
        largest = max(largest, bits & _WITHOUT_SIGN)
    return largest < _INFINITY


@njit(error_model="numpy")
def load(step, tables, inputs, input_row, values, first, last):
    """Copy rows of the input into a buffer, from `input_row` on; see `steps.Load`."""
    table, width = step[op.TABLE], step[op.WIDTH]
    for row in range(first, last):
        at = step[op.TARGET] + row * step[op.TARGET_STRIDE]
        source = inputs[input_row + row]
        if table < 0:
            for i in range(width):
                values[at + i] = source[i]
            continue
        poison = _ZERO if _is_finite(source) else _NAN
        values[at] = poison
        for i in range(width):
            values[at + i] = source[tables[table + i]] + poison


@njit(error_model="numpy")
def store(step, tables, values, outputs, output_row, first, last):
    """Copy rows of a buffer into the output, from `output_row` on."""
    table = step[op.TABLE]
    for row in range(first, last):
        at = step[op.SOURCE] + row * step[op.SOURCE_STRIDE]
        for i in range(step[op.WIDTH]):
            column = tables[table + i]
            outputs[output_row + row, i] = values[at + column] if column >= 0 else _ZERO


@njit(error_model="numpy")
def rearrange(step, tables, values, first, last):
    """Copy into a buffer of plain layout; see `steps.Rearrange`."""
    table, width, positions = step[op.TABLE], step[op.WIDTH], step[op.POSITIONS]
    for row in range(first, last):
        for position in range(positions):
            at = step[op.SOURCE] + (row * positions + position) * step[op.SOURCE_STRIDE]
            to = step[op.TARGET] + row * step[op.TARGET_STRIDE] + position * width
            for i in range(width):
                column = tables[table + i]
                values[to + i] = values[at + column] if column >= 0 else _ZERO


@njit(error_model="numpy")
def affine(step, weights, values, first, last):
    """Scale and shift every column."""
    width = step[op.WIDTH]
    scale = weights[step[op.PARAMETERS] : step[op.PARAMETERS] + width]
    shift = weights[step[op.PARAMETERS] + width : step[op.PARAMETERS] + 2 * width]
    for row in range(first, last):
        at = step[op.TARGET] + row * step[op.TARGET_STRIDE]
        for i in range(width):
            values[at + i] = values[at + i] * scale[i] + shift[i]


@njit(error_model="numpy")
def normalize(step, weights, values, first, last):
    """Bring every row to mean 0 and variance 1, then scale and shift its columns."""
    width, parameters = step[op.WIDTH], step[op.PARAMETERS]
    scale = weights[parameters + 1 : parameters + 1 + width]
    shift = weights[parameters + 1 + width : parameters + 1 + 2 * width]
    for row in range(first, last):
        at = step[op.TARGET] + row * step[op.TARGET_STRIDE]
        v = values[at : at + width]
        mean = 0.0
        for i in range(width):
            mean += v[i]
        mean /= width
        variance = 0.0
        for i in range(width):
            variance += (v[i] - mean) ** 2
        inverse = np.float32(1.0 / math.sqrt(variance / width + weights[parameters]))
        centre = np.float32(mean)
        for i in range(width):
            v[i] = (v[i] - centre) * inverse * scale[i] + shift[i]


@njit(error_model="numpy")
def activate_rows(step, weights, values, address, first, last):
    """Apply an activation function to rows."""
    code, slope = step[op.ACTIVATION], weights[step[op.PARAMETERS]]
    for row in range(first, last):
        at = values.ctypes.data + 4 * (step[op.TARGET] + row * step[op.TARGET_STRIDE])
        activate(address, code, slope, at, step[op.WIDTH])
