"""The code of a tile in LLVM's terms: the innermost product of the engine.

Compilers do not find this arrangement of registers for a plain loop, so it is written out. LLVM
translates the vectors to those of the processor.
"""

from llvmlite import ir
from numba.core import cgutils

INT, FLOAT = ir.IntType(64), ir.FloatType()
ARGUMENTS = 14


class TileCode:
    """Writes the function that multiplies `rows` rows with `panels` panels of `width` columns.

    Each sum may be kept in several `parts`, a power of two, that take turns along the depth and are
    added at the end: where there are few sums, each would otherwise wait for its last product.
    """

    def __init__(
        self, module: ir.Module, name: str, rows: int, panels: int, width: int, parts: int
    ) -> None:
        self.rows, self.panels, self.width, self.parts = rows, panels, width, parts
        self.vector = ir.VectorType(FLOAT, width)
        signature = ir.FunctionType(ir.VoidType(), [INT] * ARGUMENTS + [FLOAT])
        self.function = ir.Function(module, signature, name)
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")
        fma = ir.FunctionType(self.vector, [self.vector] * 3)
        self.fma = cgutils.get_or_insert_function(module, fma, f"llvm.fma.v{width}f32")
        self.write()

    def write(self) -> None:
        """Emit: load the sums, loop over segments and their rows of the panels, store the sums."""
        (
            inputs,
            input_rows,
            input_segments,
            weights,
            weight_segments,
            panels,
            segments,
            depth,
            stride,
            start,
            start_rows,
            outputs,
            output_rows,
            columns,
            floor,
        ) = self.function.args
        self.b = b = ir.IRBuilder(self.function.append_basic_block("entry"))
        rows = range(self.rows)
        column = [self.integer(columns, j) for j in range(self.panels)]
        row_at = [self.offset(inputs, self.integer(input_rows, i)) for i in rows]
        panel_at = [self.offset(weights, self.integer(panels, j)) for j in range(self.panels)]
        sums = self.start(start, start_rows, column)
        turns = b.udiv(depth, INT(self.parts))
        with cgutils.for_range(b, segments) as segment:
            input_shift = b.shl(self.integer(input_segments, segment.index), INT(2))
            weight_shift = b.shl(self.integer(weight_segments, segment.index), INT(2))
            values = [self.pointer(b.add(at, input_shift), FLOAT) for at in row_at]
            weights = [self.pointer(b.add(at, weight_shift), FLOAT) for at in panel_at]
            with cgutils.for_range(b, turns) as turn:
                first = b.mul(turn.index, INT(self.parts))
                for part in range(self.parts):
                    self.multiply(sums[part], values, weights, b.add(first, INT(part)), stride)
            if self.parts > 1:
                done = b.mul(turns, INT(self.parts))
                with cgutils.for_range_slice(b, done, depth, INT(1), INT) as (k, _):
                    self.multiply(sums[0], values, weights, k, stride)
        self.store(
            sums, floor, [self.offset(outputs, self.integer(output_rows, i)) for i in rows], column
        )
        b.ret_void()

    def start(
        self, start: ir.Value, start_rows: ir.Value, column: list[ir.Value]
    ) -> list[list[ir.Value]]:
        """Make the parts of the sums: the first begins as given, the others at zero."""
        given = []
        for i in range(self.rows):
            at = self.offset(start, self.integer(start_rows, i))
            given += [self.b.load(self.address(self.offset(at, c)), align=4) for c in column]
        zero = ir.Constant(self.vector, [0.0] * self.width)
        parts = [given] + [[zero] * len(given)] * (self.parts - 1)
        return [[self.variable(value) for value in part] for part in parts]

    def multiply(
        self,
        sums: list[ir.Value],
        values: list[ir.Value],
        weights: list[ir.Value],
        k: ir.Value,
        stride: ir.Value,
    ) -> None:
        """Add the products of input feature `k` to the sums."""
        at = self.b.mul(k, stride)
        panel = [self.b.load(self.vector_at(base, at), align=4) for base in weights]
        for i in range(self.rows):
            value = self.broadcast(self.b.load(self.b.gep(values[i], [k])))
            for j in range(self.panels):
                total = sums[i * self.panels + j]
                added = self.b.call(self.fma, [value, panel[j], self.b.load(total)])
                self.b.store(added, total)

    def store(
        self,
        sums: list[list[ir.Value]],
        floor: ir.Value,
        output_at: list[ir.Value],
        column: list[ir.Value],
    ) -> None:
        """Write the sums, none below the floor."""
        floor = self.broadcast(floor)
        for n, parts in enumerate(zip(*sums, strict=True)):
            total = self.added([self.b.load(part) for part in parts])
            # An ordered comparison is false for NaN, so NaN passes.
            value = self.b.select(self.b.fcmp_ordered("<", total, floor), floor, total)
            address = self.offset(output_at[n // self.panels], column[n % self.panels])
            self.b.store(value, self.address(address), align=4)

    def added(self, values: list[ir.Value]) -> ir.Value:
        """Add values in pairs."""
        while len(values) > 1:
            values = [self.b.fadd(*pair) for pair in zip(values[::2], values[1::2], strict=True)]
        return values[0]

    def variable(self, value: ir.Value) -> ir.Value:
        """Make a variable; LLVM keeps it in a register."""
        place = cgutils.alloca_once(self.b, value.type)
        self.b.store(value, place)
        return place

    def pointer(self, address: ir.Value, kind: ir.Type) -> ir.Value:
        """Turn an address into a pointer."""
        return self.b.inttoptr(address, kind.as_pointer())

    def address(self, address: ir.Value) -> ir.Value:
        """Turn an address into a pointer to a vector."""
        return self.pointer(address, self.vector)

    def vector_at(self, base: ir.Value, floats: ir.Value) -> ir.Value:
        """Point to the vector so many floats after a base."""
        return self.b.bitcast(self.b.gep(base, [floats]), self.vector.as_pointer())

    def integer(self, base: ir.Value, index: ir.Value | int) -> ir.Value:
        """Load an integer of an array."""
        index = INT(index) if isinstance(index, int) else index
        return self.b.load(self.b.gep(self.pointer(base, INT), [index]))

    def offset(self, base: ir.Value, floats: ir.Value) -> ir.Value:
        """Compute the address so many floats after a base."""
        return self.b.add(base, self.b.shl(floats, INT(2)))

    def broadcast(self, value: ir.Value) -> ir.Value:
        """Fill a vector with one value."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.b.insert_element(undefined, value, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.width), [0] * self.width)
        return self.b.shuffle_vector(first, undefined, zeros)
