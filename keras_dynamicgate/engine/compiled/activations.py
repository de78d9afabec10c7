"""Activation functions on neighbouring float32 values, in loops that LLVM vectorizes."""

import math
from typing import Any

import numpy as np
from numba import carray, cfunc, extending, njit, types

from keras_dynamicgate.engine.compiled.opcodes import Activation
from keras_dynamicgate.engine.compiled.sources import digest
from keras_dynamicgate.engine.compiled.tile import call_by_address

# For type checkers: callers leave the typing context out.
intrinsic: Any = extending.intrinsic

_ZERO, _HALF, _ONE, _SIX = (np.float32(value) for value in (0.0, 0.5, 1.0, 6.0))
_LOG2_E = np.float32(1.44269504088896341)
# ln 2 in two parts, so that the remainder keeps its digits.
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_LARGEST, _SMALLEST = np.float32(88.72), np.float32(-87.33)
_E0, _E1, _E2, _E3, _E4 = (
    np.float32(value)
    for value in (
        1.9875691500e-4,
        1.3981999507e-3,
        8.3334519073e-3,
        4.1665795894e-2,
        1.6666665459e-1,
    )
)
_SELU_SCALE = np.float32(1.0507009873554805)
_SELU_SLOPE = np.float32(1.0507009873554805 * 1.6732632423543772)
_ROOT_HALF = np.float32(math.sqrt(0.5))
_ERF_P = np.float32(0.3275911)
_ERF_1, _ERF_2, _ERF_3, _ERF_4, _ERF_5 = (
    np.float32(value)
    for value in (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
)


@njit(error_model="numpy", inline="always")
def exp(x):
    """Exponential within 3e-7 of its value (after Cephes' `expf`); NaN stays NaN."""
    x = _LARGEST if x > _LARGEST else x
    x = _SMALLEST if x < _SMALLEST else x
    n = np.float32(math.floor(x * _LOG2_E + _HALF))
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = ((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r + _HALF
    p = p * r * r + r + _ONE
    # Two halves of the power of two: the largest one alone is no float32.
    whole = np.int32(n)
    half = whole >> np.int32(1)
    one = np.int32((half + np.int32(127)) << np.int32(23)).view(np.float32)
    two = np.int32((whole - half + np.int32(127)) << np.int32(23)).view(np.float32)
    return p * one * two


@njit(error_model="numpy", inline="always")
def sigmoid(x):
    """Logistic function."""
    return _ONE / (_ONE + exp(-x))


@njit(error_model="numpy", inline="always")
def tanh(x):
    """Hyperbolic tangent within 2e-7."""
    return _ONE - (_ONE + _ONE) / (exp(x + x) + _ONE)


@njit(error_model="numpy", inline="always")
def erf(x):
    """Error function within 2e-7 (Abramowitz and Stegun, 7.1.26)."""
    size = abs(x)
    t = _ONE / (_ONE + _ERF_P * size)
    p = ((((_ERF_5 * t + _ERF_4) * t + _ERF_3) * t + _ERF_2) * t + _ERF_1) * t
    value = _ONE - p * exp(-size * size)
    return -value if x < _ZERO else value


@njit(error_model="numpy", inline="always")
def _clipped(x, high):
    x = _ZERO if x < _ZERO else x
    return high if x > high else x


@njit(error_model="numpy")
def _with_logarithm(code, v):
    for i in range(len(v)):
        positive = v[i] if v[i] > _ZERO else _ZERO
        softplus = np.float32(positive + math.log1p(exp(-abs(v[i]))))
        v[i] = v[i] * tanh(softplus) if code == Activation.MISH else softplus


@njit(error_model="numpy")
def _softmax(code, v):
    largest, total = v[0], _ZERO
    for i in range(len(v)):
        largest = v[i] if v[i] > largest else largest
    for i in range(len(v)):
        total += exp(v[i] - largest)
    logarithm = np.float32(math.log(total))
    for i in range(len(v)):
        shifted = v[i] - largest
        v[i] = shifted - logarithm if code == Activation.LOG_SOFTMAX else exp(shifted) / total


_SIGNATURE = types.void(types.int64, types.float32, types.CPointer(types.float32), types.int64)


def _compiled(sources):
    """Make the C function, compiled by itself for the reason that `tile._compiled` gives."""

    @cfunc(_SIGNATURE, cache=True, error_model="numpy")
    def activate(code, slope, address, count):
        _ = sources
        v = carray(address, (count,))
        if code == Activation.RELU:
            for i in range(count):
                v[i] = _ZERO if v[i] < _ZERO else v[i]
        elif code == Activation.LEAKY_RELU:
            for i in range(count):
                v[i] = slope * v[i] if v[i] < _ZERO else v[i]
        elif code == Activation.RELU6:
            for i in range(count):
                v[i] = _clipped(v[i], _SIX)
        elif code == Activation.ELU:
            for i in range(count):
                v[i] = slope * (exp(v[i]) - _ONE) if v[i] < _ZERO else v[i]
        elif code == Activation.SELU:
            for i in range(count):
                v[i] = _SELU_SLOPE * (exp(v[i]) - _ONE) if v[i] < _ZERO else _SELU_SCALE * v[i]
        elif code == Activation.TANH:
            for i in range(count):
                v[i] = tanh(v[i])
        elif code == Activation.GELU:
            for i in range(count):
                v[i] = _HALF * v[i] * (_ONE + erf(v[i] * _ROOT_HALF))
        elif code == Activation.SILU:
            for i in range(count):
                v[i] = v[i] * sigmoid(v[i])
        elif code == Activation.SOFTSIGN:
            for i in range(count):
                v[i] = v[i] / (_ONE + abs(v[i]))
        elif code == Activation.HARD_SILU:
            for i in range(count):
                v[i] = v[i] * _clipped(v[i] / _SIX + _HALF, _ONE)
        elif code == Activation.SIGMOID:
            for i in range(count):
                v[i] = sigmoid(v[i])
        elif code == Activation.EXPONENTIAL:
            for i in range(count):
                v[i] = exp(v[i])
        elif code == Activation.HARD_SIGMOID:
            for i in range(count):
                v[i] = _clipped(v[i] / _SIX + _HALF, _ONE)
        elif code == Activation.MISH or code == Activation.SOFTPLUS:
            _with_logarithm(code, v)
        elif code == Activation.SOFTMAX or code == Activation.LOG_SOFTMAX:
            _softmax(code, v)

    return activate


_activate = _compiled(digest())
ACTIVATE_ADDRESS = _activate.address


@intrinsic
def activate(typing_context, address, code, slope, values, count):
    """Apply an activation function to neighbouring values, in place.

    Args:
        address: `ACTIVATE_ADDRESS`, handed in because a cached kernel cannot hold an address.
        code: The activation's number in `opcodes`.
        slope: Float32, for the activations that have one.
        values: Address of the first value.
        count: The number of values; a softmax runs over all of them.
    """
    return call_by_address(_INTEGERS)


_INTEGERS = types.void(types.int64, types.float32, types.int64, types.int64)
