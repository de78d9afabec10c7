"""Atomic 64-bit integers in memory, and a way to wait, for threads that work together."""

import platform
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils

# For type checkers: callers leave the typing context out.
intrinsic: Any = extending.intrinsic

_INT = ir.IntType(64)
_SIGNATURE = types.int64(types.int64, types.int64)


@intrinsic
def fetch_add(typing_context, address, value):
    """Add to the integer at an address and give its value before."""

    def codegen(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], _INT.as_pointer())
        return builder.atomic_rmw("add", pointer, arguments[1], "seq_cst")

    return _SIGNATURE, codegen


@intrinsic
def read(typing_context, address):
    """Read the integer at an address, and see all that was written before it was."""

    def codegen(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], _INT.as_pointer())
        return builder.load_atomic(pointer, "seq_cst", 8)

    return types.int64(types.int64), codegen


@intrinsic
def write(typing_context, address, value):
    """Write the integer at an address, once all earlier writes can be seen."""

    def codegen(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], _INT.as_pointer())
        builder.store_atomic(arguments[1], pointer, "seq_cst", 8)
        return context.get_constant(types.int64, 0)

    return _SIGNATURE, codegen


# Instructions that tell a processor that a thread waits, so that it saves power.
_X86_PAUSE, _ARM_HINT, _ARM_YIELD = "llvm.x86.sse2.pause", "llvm.aarch64.hint", ir.IntType(32)(1)
_PAUSE = {
    "x86_64": (_X86_PAUSE, []),
    "AMD64": (_X86_PAUSE, []),
    "aarch64": (_ARM_HINT, [_ARM_YIELD]),
    "arm64": (_ARM_HINT, [_ARM_YIELD]),
}


@intrinsic
def pause(typing_context):
    """Wait for some nanoseconds where the processor can; give 1, to count turns of waiting."""

    def codegen(context, builder, signature, arguments):
        if platform.machine() in _PAUSE:
            name, operands = _PAUSE[platform.machine()]
            kind = ir.FunctionType(ir.VoidType(), [operand.type for operand in operands])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), operands)
        return context.get_constant(types.int64, 1)

    return types.int64(), codegen
