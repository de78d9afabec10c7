"""Atomic operations on 64-bit integers in memory, given by address."""

from typing import Any

from llvmlite import ir
from numba import extending, types

# For type checkers: callers leave the typing context out.
intrinsic: Any = extending.intrinsic

_INT = ir.IntType(64)
_SIGNATURE = types.int64(types.int64, types.int64)


@intrinsic
def fetch_add(typing_context, address, value):
    """Add to the integer at an address and give what it was before."""

    def codegen(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], _INT.as_pointer())
        return builder.atomic_rmw("add", pointer, arguments[1], "seq_cst")

    return _SIGNATURE, codegen


@intrinsic
def read(typing_context, address):
    """Read the integer at an address, after all that was written before it."""

    def codegen(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], _INT.as_pointer())
        return builder.load_atomic(pointer, "seq_cst", 8)

    return types.int64(types.int64), codegen


@intrinsic
def write(typing_context, address, value):
    """Write the integer at an address, after all that was written before it."""

    def codegen(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], _INT.as_pointer())
        builder.store_atomic(arguments[1], pointer, "seq_cst", 8)
        return context.get_constant(types.int64, 0)

    return _SIGNATURE, codegen
