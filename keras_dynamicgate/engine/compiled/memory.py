"""What the compiled kernels pass to each other, by name, and arrays from addresses.

Every array that a compiled function takes makes each call of it slower, by a tenth of a
microsecond. So a workspace writes down once where its arrays lie, and passes that alone.
"""

from collections import namedtuple
from typing import Any

import numpy as np
from numba import carray, extending, njit, types

from keras_dynamicgate.engine.compiled import opcodes as op

# For type checkers: callers leave the typing context out.
intrinsic: Any = extending.intrinsic

# Arrays that all workers share, the addresses of the input and the output of this call, and the
# scratch of the worker itself.
Memory = namedtuple("Memory", "weights tables inputs outputs values lists scratch")

# A part of a step: its first row in the input or output, its rows, the rows that there is room
# for, and which of how many tickets it is.
Part = namedtuple("Part", "first_row rows capacity ticket tickets")

# In `places`: the address of each array and the number of its values.
_OPS, _WEIGHTS, _TABLES, _VALUES, _LISTS, _SCRATCH, _CONTROL, _WORKERS = range(0, 16, 2)


def places_of(
    ops: np.ndarray,
    weights: np.ndarray,
    tables: np.ndarray,
    values: np.ndarray,
    lists: np.ndarray,
    scratch: np.ndarray,
    control: np.ndarray,
) -> np.ndarray:
    """Write down where the arrays of a workspace lie.

    Args:
        ops: Int64 array of shape `(steps, FIELDS)`, bound to the workspace.
        weights, tables: The arrays of the program.
        values, lists, control: The arrays of the workspace.
        scratch: Int64 array of shape `(workers, ...)`.

    Returns:
        An int64 array, valid as long as all of these exist.
    """
    arrays = (ops, weights, tables, values, lists, scratch, control)
    pairs = [number for array in arrays for number in (array.ctypes.data, array.size)]
    return np.array([*pairs, len(scratch)], "int64")


def _array_at(kind):
    """Make a compiled function that gives the array of an address and a shape."""

    @intrinsic
    def pointer(typing_context, address):
        def codegen(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), codegen

    @njit
    def array_at(address, shape):
        return carray(pointer(address), shape)

    return array_at


floats_at, _integers_at = _array_at(types.float32), _array_at(types.int64)
_small_integers_at = _array_at(types.int32)


@njit
def ops_at(places):
    """Give the steps of the program."""
    return _integers_at(places[_OPS], (places[_OPS + 1] // op.FIELDS, op.FIELDS))


@njit
def control_at(places):
    """Give what the threads of a call share."""
    return _integers_at(places[_CONTROL], places[_CONTROL + 1])


@njit
def memory_at(places, worker, inputs, outputs):
    """Give the memory of a worker, for an input and an output at these addresses."""
    size = places[_SCRATCH + 1] // places[_WORKERS]
    return Memory(
        floats_at(places[_WEIGHTS], places[_WEIGHTS + 1]),
        _small_integers_at(places[_TABLES], places[_TABLES + 1]),
        inputs,
        outputs,
        floats_at(places[_VALUES], places[_VALUES + 1]),
        _small_integers_at(places[_LISTS], places[_LISTS + 1]),
        _integers_at(places[_SCRATCH] + 8 * worker * size, size),
    )
