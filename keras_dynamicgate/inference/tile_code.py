"""The code of a tile in LLVM's terms: the innermost product of the engine.

Compilers do not find this arrangement of registers in a plain loop, so it is written down; LLVM
maps the vectors to what the processor has.
"""

from llvmlite import ir
from numba.core import cgutils

INT, FLOAT = ir.IntType(64), ir.FloatType()
ARGUMENTS = 14


class TileCode:
    """Writes the function that multiplies `rows` rows with `panels` panels."""

    def __init__(self, module, rows, panels, width):
        self.rows, self.panels, self.width = rows, panels, width
        self.vector = ir.VectorType(FLOAT, width)
        signature = ir.FunctionType(ir.VoidType(), [INT] * ARGUMENTS + [FLOAT])
        self.function = ir.Function(module, signature, f"kdg_tile_{rows}_{panels}_{width}")
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")
        fma = ir.FunctionType(self.vector, [self.vector] * 3)
        self.fma = cgutils.get_or_insert_function(module, fma, f"llvm.fma.v{width}f32")
        self.write()

    def write(self):
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
        blocks = [
            self.function.append_basic_block(name)
            for name in ("entry", "segment", "step", "segment_end", "store")
        ]
        entry, segment, step, segment_end, store = blocks
        self.b = b = ir.IRBuilder(entry)
        rows, count = range(self.rows), self.rows * self.panels
        column = [self.integer(columns, j) for j in range(self.panels)]
        row_at = [self.offset(inputs, self.integer(input_rows, i)) for i in rows]
        panel_at = [self.offset(weights, self.integer(panels, j)) for j in range(self.panels)]
        start_at = [self.offset(start, self.integer(start_rows, i)) for i in rows]
        first = [
            b.load(self.address(self.offset(at, c), self.vector), align=4)
            for at in start_at
            for c in column
        ]
        b.cbranch(b.icmp_signed(">", segments, INT(0)), segment, store)

        b.position_at_end(segment)
        s, sums = self.phi(INT(0), entry), [self.phi(value, entry) for value in first]
        input_shift = b.shl(self.integer(input_segments, s), INT(2))
        weight_shift = b.shl(self.integer(weight_segments, s), INT(2))
        row_at = [self.pointer(b.add(at, input_shift), FLOAT) for at in row_at]
        panel_at = [self.pointer(b.add(at, weight_shift), FLOAT) for at in panel_at]
        b.branch(step)

        b.position_at_end(step)
        k, partial = self.phi(INT(0), segment), [self.phi(value, segment) for value in sums]
        at = b.mul(k, stride)
        panel = [
            b.load(b.bitcast(b.gep(p, [at]), self.vector.as_pointer()), align=4) for p in panel_at
        ]
        added = []
        for i in rows:
            value = self.broadcast(b.load(b.gep(row_at[i], [k])))
            for j in range(self.panels):
                added.append(b.call(self.fma, [value, panel[j], partial[i * self.panels + j]]))
        next_k = b.add(k, INT(1))
        b.cbranch(b.icmp_signed("<", next_k, depth), step, segment_end)
        for phi, value in zip([k, *partial], [next_k, *added], strict=True):
            phi.add_incoming(value, step)

        b.position_at_end(segment_end)
        next_s = b.add(s, INT(1))
        b.cbranch(b.icmp_signed("<", next_s, segments), segment, store)
        for phi, value in zip([s, *sums], [next_s, *added], strict=True):
            phi.add_incoming(value, segment_end)

        b.position_at_end(store)
        final = [self.phi(value, entry) for value in first]
        for phi, value in zip(final, added, strict=True):
            phi.add_incoming(value, segment_end)
        floor = self.broadcast(floor)
        output_at = [self.offset(outputs, self.integer(output_rows, i)) for i in rows]
        for n in range(count):
            # An ordered comparison is false for NaN, so NaN passes.
            value = b.select(b.fcmp_ordered("<", final[n], floor), floor, final[n])
            address = self.offset(output_at[n // self.panels], column[n % self.panels])
            b.store(value, self.address(address, self.vector), align=4)
        b.ret_void()

    def phi(self, value, block):
        phi = self.b.phi(value.type)
        phi.add_incoming(value, block)
        return phi

    def pointer(self, address, kind):
        return self.b.inttoptr(address, kind.as_pointer())

    address = pointer

    def integer(self, base, index):
        index = INT(index) if isinstance(index, int) else index
        return self.b.load(self.b.gep(self.pointer(base, INT), [index]))

    def offset(self, base, floats):
        return self.b.add(base, self.b.shl(floats, INT(2)))

    def broadcast(self, value):
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.b.insert_element(undefined, value, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.width), [0] * self.width)
        return self.b.shuffle_vector(first, undefined, zeros)
