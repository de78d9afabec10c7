"""The memory of one running call of an engine: buffers, masks, lists of rows."""

import numpy as np

from keras_dynamicgate.engine.compiled import helper_threads, panels, run
from keras_dynamicgate.engine.compiled import opcodes as op
from keras_dynamicgate.engine.compiled.activations import ACTIVATE_ADDRESS
from keras_dynamicgate.engine.compiled.memory import places_of
from keras_dynamicgate.engine.compiled.packing import Program, aligned, padded
from keras_dynamicgate.engine.compiled.tile import TILE_ADDRESS

# Rows that run at once. More would only take more memory: a block already serves many rows.
CHUNK_ROWS = 512


class Workspace:
    """Memory for calls of up to `samples` samples at a time; larger batches run in pieces.

    Args:
        program: The `Program` to run.
        samples: Integer, the samples of a call; a power of two up to `CHUNK_ROWS` rows is kept.
        threads: Integer, the number of workers.
    """

    def __init__(self, program: Program, samples: int, threads: int) -> None:
        self._program = program  # kernels know its arrays by their addresses only
        positions = program.plan.positions
        self._most = max(1, CHUNK_ROWS // positions)
        self._samples = min(1 << max(0, samples - 1).bit_length(), self._most)
        self._positions, self._threads = positions, threads
        self._generation = helper_threads.generation
        self._ops = program.ops.copy()
        self._values = self._place_buffers(program)
        self._prices: np.ndarray | None = None  # those of the last call
        self._lists = self._place_masks(program)
        width = self._scratch_size(program)
        self._scratch = aligned(threads * width, "int64").reshape(threads, width)
        self._scratch[:, panels.TILE] = TILE_ADDRESS
        self._scratch[:, panels.ACTIVATE] = ACTIVATE_ADDRESS
        self._control = aligned(run.CONTROL_SIZE, "int64")
        self._control[run.WORKERS] = threads
        self._control[run.POSITIONS] = positions
        self._control[run.PIECE] = self._samples
        values, lists, scratch = self._values, self._lists, self._scratch
        self._places = places_of(
            self._ops, program.weights, program.tables, values, lists, scratch, self._control
        )

    def run(
        self,
        inputs: np.ndarray,
        outputs: np.ndarray,
        prices: np.ndarray,
        samples: int,
        shared: bool,
    ) -> None:
        """Run the program.

        Args:
            inputs, outputs: Float32 arrays of shape `(rows, features)`.
            prices: Float32 array of what each gate charges, which nobody changes.
            samples: Integer.
            shared: Whether other threads are asked to help.
        """
        if prices is not self._prices:
            self._values[self._values.size - len(prices) :] = prices
            self._prices = prices
        if shared:
            missing = self._threads - 1 - self._control.item(run.HELPERS)
            if missing > 0:
                helper_threads.ask(missing, self.help)
        run.run(self._places, inputs, outputs, samples, shared)

    def help(self) -> None:
        """Help with the current call of another thread and with those that follow soon."""
        run.help_run(self._places)

    def _place_buffers(self, program: Program) -> np.ndarray:
        """Write the place of every buffer into the steps; make the float32 array that holds all.

        The prices of a call stand behind the buffers.
        """
        strides = [_stride(buffer.width) for buffer in program.plan.buffers]
        rows = [self._rows(buffer.per_position) for buffer in program.plan.buffers]
        sizes = [row * stride for row, stride in zip(rows, strides, strict=True)]
        offsets, total = place(sizes, _lifetimes(program.ops, len(sizes)))
        for side, stride in ((op.SOURCE, op.SOURCE_STRIDE), (op.TARGET, op.TARGET_STRIDE)):
            used = program.ops[:, side] >= 0
            index = program.ops[used, side]
            self._ops[used, side] = np.asarray(offsets, "int64")[index]
            self._ops[used, stride] = np.asarray(strides, "int64")[index]
        priced = program.ops[:, op.PRICE] >= 0
        self._ops[priced, op.PRICE] = total + program.ops[priced, op.PRICE]
        return aligned(total + len(program.plan.prices))

    def _rows(self, per_position: bool) -> int:
        return self._samples * (self._positions if per_position else 1)

    def _place_masks(self, program: Program) -> np.ndarray:
        """Write the place of every mask into the steps; make the array that holds all."""
        most = self._samples * self._positions
        offsets, total = [], 0
        for mask in program.plan.masks:
            offsets.append(total)
            total += mask_size(mask.gates, most)
        for side in (op.IN_MASK, op.OUT_MASK):
            used = program.ops[:, side] >= 0
            self._ops[used, side] = np.asarray(offsets, "int64")[program.ops[used, side]]
        return np.zeros(max(1, total), "int32")

    def _scratch_size(self, program: Program) -> int:
        gates = max((mask.gates for mask in program.plan.masks), default=0)
        return padded(panels.SEGMENT + 2 * max(1, gates), 8)

    def fits(self, samples: int) -> bool:
        """Tell whether calls with so many samples run in it, in pieces if they must.

        None do in a forked process, where it might wait for helpers that do not exist.
        """
        if self._generation != helper_threads.generation:
            return False
        return samples <= self._samples or self._samples == self._most

    def nbytes(self) -> int:
        """Count the bytes of the workspace."""
        arrays = (self._ops, self._values, self._lists, self._scratch, self._control)
        return sum(array.nbytes for array in arrays)


def mask_size(gates: int, rows: int) -> int:
    """Count the integers of a mask: flags and both kinds of lists; see `masks`."""
    return 3 * gates * rows + gates + rows


def _stride(width: int) -> int:
    """Choose the floats from one row to the next: no power of two, so that caches work."""
    stride = padded(width, 16)
    return stride + 16 if stride % 128 == 0 else stride


def _lifetimes(ops: np.ndarray, count: int) -> list[tuple[int, int]]:
    """Find for each buffer the first and the last step that uses it."""
    first, last = [len(ops)] * count, [-1] * count
    for index, row in enumerate(ops):
        for buffer in (row[op.SOURCE], row[op.TARGET]):
            if buffer >= 0:
                first[buffer] = min(first[buffer], index)
                last[buffer] = index
    return list(zip(first, last, strict=True))


def place(sizes: list[int], lifetimes: list[tuple[int, int]]) -> tuple[list[int], int]:
    """Find offsets so that buffers that are in use at the same time do not overlap.

    Args:
        sizes: List of integers.
        lifetimes: List of pairs, the first and the last step of each buffer.

    Returns:
        The list of offsets and the total size.
    """
    offsets = [0] * len(sizes)
    placed: list[tuple[int, int, int, int]] = []
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        first, last = lifetimes[index]
        offset = 0
        for start, end, other_first, other_last in sorted(placed):
            if other_first <= last and first <= other_last and start < offset + sizes[index]:
                offset = max(offset, end)
        offsets[index] = offset
        placed.append((offset, offset + sizes[index], first, last))
    return offsets, max((end for _, end, _, _ in placed), default=0)
