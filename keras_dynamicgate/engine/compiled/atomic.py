"""What threads need to work together: atomic 64-bit integers in memory, and a way to wait."""

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


# Tell the processor that a thread waits, so that it leaves the core to others and saves power.
_X86_PAUSE, _ARM_HINT, _ARM_YIELD = "llvm.x86.sse2.pause", "llvm.aarch64.hint", ir.IntType(32)(1)
_PAUSE = {
    "x86_64": (_X86_PAUSE, []),
    "AMD64": (_X86_PAUSE, []),
    "aarch64": (_ARM_HINT, [_ARM_YIELD]),
    "arm64": (_ARM_HINT, [_ARM_YIELD]),
}


@intrinsic
def pause(typing_context):
    """Wait for some nanoseconds, where the processor can; give 1, a turn of waiting."""

    def codegen(context, builder, signature, arguments):
        if platform.machine() in _PAUSE:
            name, operands = _PAUSE[platform.machine()]
            kind = ir.FunctionType(ir.VoidType(), [operand.type for operand in operands])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), operands)
        return context.get_constant(types.int64, 1)

    return types.int64(), codegen
