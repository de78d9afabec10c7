"""The innermost product of the engine: a few rows times a few panels, held in vector registers.

A panel is `width` neighbouring columns of a kernel, stored row after row, so that one row of a
panel is one vector. A tile multiplies up to `ROWS` rows of an input with up to four panels and
keeps all sums in registers; `tile_code` writes it down.
"""

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import cfunc, extending, types

from keras_dynamicgate.engine.compiled.sources import digest
from keras_dynamicgate.engine.compiled.tile_code import ARGUMENTS, INT, TileCode

# For type checkers: callers leave the typing context out.
intrinsic: Any = extending.intrinsic

ROWS = 6
WIDE, NARROW = 16, 8

_FEATURES = llvm.get_host_cpu_features()
# Sums, panels and the current input value must fit into the vector registers: 32 of 16 floats with
# AVX-512, the equivalent of 8 with AVX2 and NEON.
PANELS = 4 if _FEATURES.get("avx512f") else 1
# Floats of a vector register, and how many registers of sums keep the multipliers of a core busy.
_REGISTER = 16 if _FEATURES.get("avx512f") else 8 if _FEATURES.get("avx2") else 4
_SUMS_AT_ONCE = 8
# Instead of a number of rows: one row by itself, whose sums are split into parts. Those of a batch
# are not, or a sum would depend on which rows share its tile, and so on the threads.
SINGLE_ROW = 0
SINGLE_ROW_PANELS = 4


def _tiles(width):
    """Make an intrinsic that calls the tile of the given numbers of rows and panels."""

    @intrinsic
    def tile(typing_context, rows, panels, a, b, c, d, e, f, g, h, i, j, k, m, n, o, floor):
        signature = types.void(*[types.int64] * (2 + ARGUMENTS), types.float32)

        def codegen(context, builder, signature, arguments):
            rows, panels, *rest = arguments
            end = builder.append_basic_block("tile_end")
            switch = builder.switch(builder.add(builder.mul(rows, INT(8)), panels), end)
            for row_count in range(SINGLE_ROW, ROWS + 1):
                for panel_count in (1, 2, 4):
                    case = builder.append_basic_block("tile")
                    switch.add_case(INT(row_count * 8 + panel_count), case)
                    builder.position_at_end(case)
                    function = _tile_function(builder.module, row_count, panel_count, width)
                    builder.call(function, rest)
                    builder.branch(end)
            builder.position_at_end(end)
            return context.get_dummy_value()

        return signature, codegen

    return tile


def _tile_function(module, rows, panels, width):
    parts = 1
    if rows == SINGLE_ROW:
        rows, parts = 1, max(1, _SUMS_AT_ONCE // (panels * max(1, width // _REGISTER)))
    name = f"kdg_tile_{rows}_{panels}_{width}_{parts}"
    if name in module.globals:
        return module.globals[name]
    return TileCode(module, name, rows, panels, width, parts).function


_wide_tile, _narrow_tile = _tiles(WIDE), _tiles(NARROW)
_SIGNATURE = types.void(*[types.int64] * (3 + ARGUMENTS), types.float32)


def _compiled(sources):
    """Make the C function.

    It is compiled by itself and called by address: inlined, it would be compiled again in each of
    its callers, which takes most of a minute.
    """

    # fmt: off
    @cfunc(_SIGNATURE, cache=True)
    def tile(width, rows, panels, inputs, input_rows, input_segments, weights, weight_segments,
             offsets, segments, depth, stride, start, start_rows, outputs, output_rows, columns,
             floor):
        _ = sources
        if width == WIDE:
            _wide_tile(rows, panels, inputs, input_rows, input_segments, weights, weight_segments,
                       offsets, segments, depth, stride, start, start_rows, outputs, output_rows,
                       columns, floor)
        else:
            _narrow_tile(rows, panels, inputs, input_rows, input_segments, weights,
                         weight_segments, offsets, segments, depth, stride, start, start_rows,
                         outputs, output_rows, columns, floor)
    # fmt: on

    return tile


# Without a reference, the code of the function would be freed.
_tile = _compiled(digest())
TILE_ADDRESS = _tile.address


# fmt: off
@intrinsic
def tile(typing_context, address, width, rows, panels, inputs, input_rows, input_segments, weights,
         weight_segments, panel_offsets, segments, depth, stride, start, start_rows, outputs,
         output_rows, columns, floor):
    """Compute `outputs = max(start + inputs @ panels, floor)` for a few rows and panels.

    Base addresses are integers; all offsets count floats and lie in memory as 64-bit integers, of
    which the address is given. NaN passes the floor.

    Args:
        address: `TILE_ADDRESS`, handed in because a cached kernel cannot hold an address.
        width: Columns of a panel, `WIDE` or `NARROW`.
        rows: From 1 to `ROWS`, or `SINGLE_ROW`.
        panels: 1, 2 or 4.
        inputs, input_rows: Base address of the inputs; offset of each row.
        input_segments: Offset of each segment of `depth` neighbouring features in a row.
        weights, weight_segments: Base address of the panels; offset of each segment in them.
        panel_offsets: Offset of each panel.
        segments, depth: The number of segments and the features of one.
        stride: Floats from one row of a panel to the next.
        start, start_rows: Base address and row offsets of what the sums start from.
        outputs, output_rows: Base address and row offsets of the result.
        columns: Offset of each panel's columns in the rows of `start` and `outputs`.
        floor: Float32, the smallest output; minus infinity for none.
    """
    return call_by_address(_SIGNATURE)
# fmt: on


def call_by_address(signature: Any) -> tuple[Any, Any]:
    """Make an intrinsic call a C function whose address is the first argument."""

    def codegen(context, builder, _, arguments):
        kinds = [context.get_value_type(kind) for kind in signature.args]
        function = ir.FunctionType(ir.VoidType(), kinds).as_pointer()
        builder.call(builder.inttoptr(arguments[0], function), arguments[1:])
        return context.get_dummy_value()

    return types.void(types.int64, *signature.args), codegen
