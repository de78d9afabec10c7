"""Packing a plan for the compiled kernels: all weights in one array, block after block.

The kernel of a product is cut into blocks of rows (where its input is gated) and panels of 16 or 8
columns, of which up to four lie side by side. These hold their rows one after the other, so that an
open block is one contiguous read and one row of a panel is one vector.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from keras_dynamicgate.engine import steps
from keras_dynamicgate.engine.compiled import opcodes as op
from keras_dynamicgate.engine.compiled.tile import PANELS

ALIGNMENT = 16  # floats: one cache line


def aligned(size: int, dtype: str = "float32") -> np.ndarray:
    """Make an array of zeros that begins at a cache line."""
    itemsize = np.dtype(dtype).itemsize
    raw = np.zeros(size * itemsize + 64, "uint8")
    start = -raw.ctypes.data % 64
    return raw[start : start + size * itemsize].view(dtype)


def padded(size: int, multiple: int) -> int:
    """Round up to a multiple."""
    return -(-size // multiple) * multiple


@dataclasses.dataclass
class Program:
    """A packed plan.

    Attributes:
        ops: Integer array of shape `(steps, FIELDS)`; buffers and masks by their index.
        weights: Float32 array with all weights.
        tables: Integer array with all column tables.
        plan: The plan, without its weights.
        largest_work: Integer, the multiply-accumulates of one row in the largest step.
    """

    ops: np.ndarray
    weights: np.ndarray
    tables: np.ndarray
    plan: steps.Plan
    largest_work: int


def pack(plan: steps.Plan) -> Program:
    """Pack a plan and free its own arrays step by step, so that no second copy of all is made.

    Args:
        plan: A `steps.Plan`, whose steps lose their arrays.

    Returns:
        A `Program`.
    """
    size = sum(_float_count(step) for step in plan.steps)
    packer = _Packer(plan, aligned(size))
    ops = np.full((len(plan.steps), op.FIELDS), -1, "int64")
    for row, step in zip(ops, plan.steps, strict=True):
        packer.pack(row, step)
    tables = np.concatenate([*packer.tables, np.zeros(1, "int32")])
    return Program(ops, packer.weights, tables, plan, int(ops[:, op.WORK].max()))


def _float_count(step: steps.Step) -> int:
    """Count the floats to set aside for the weights of a step."""
    if isinstance(step, steps.Product):
        panels, width = panel_shape(step)
        return step.kernel.shape[0] * panels * width + panels * width + ALIGNMENT
    arrays = [value for value in vars(step).values() if isinstance(value, np.ndarray)]
    return sum(padded(array.size, ALIGNMENT) for array in arrays) + ALIGNMENT


def panel_shape(step: steps.Product) -> tuple[int, int]:
    """Choose the number of panels of a product and the columns of one."""
    if step.out_mask is None:
        return padded(step.kernel.shape[1], 16) // 16, 16
    width = 16 if step.out_mask.block % 16 == 0 else 8
    return step.out_mask.gates * step.out_mask.block // width, width


class _Packer:
    """Writes steps into rows of integers and their weights into one array."""

    def __init__(self, plan, weights):
        self.plan = plan
        self.weights = weights
        self.used = 0
        self.tables = []

    def pack(self, row, step):
        """Write one step into its row."""
        row[op.CODE], write = _PACKED[type(step)]
        where = getattr(step, "target", getattr(step, "source", 0))
        row[op.PER_POSITION] = self.plan.buffers[where].per_position
        row[op.SOURCE] = getattr(step, "source", -1)
        row[op.TARGET] = getattr(step, "target", -1)
        row[op.WIDTH] = self.plan.buffers[where].width
        row[op.WORK] = 4 * row[op.WIDTH]
        row[op.ACTIVATION] = op.Activation.LINEAR
        write(self, row, step)

    def take(self, count):
        """Set weights aside and give their offset and a view of them."""
        offset = self.used
        self.used += padded(count, ALIGNMENT)
        return offset, self.weights[offset : offset + count]

    def keep(self, *arrays):
        """Store small arrays side by side and give the offset of the first."""
        flat = np.concatenate([np.asarray(array, "float32").reshape(-1) for array in arrays])
        offset, view = self.take(flat.size)
        view[:] = flat
        return offset

    def table(self, columns):
        """Store a table of columns and give its offset."""
        offset = sum(map(len, self.tables))
        self.tables.append(np.asarray(columns, "int32"))
        return offset

    def activation(self, row, step):
        row[op.ACTIVATION] = op.Activation[step.activation.upper()]
        row[op.PARAMETERS] = self.keep([step.slope])

    def in_mask(self, row, mask):
        if mask is not None:
            row[op.IN_MASK : op.IN_BLOCK + 1] = mask.index, mask.gates, mask.block

    def out_mask(self, row, mask):
        if mask is not None:
            row[op.OUT_MASK : op.OUT_BLOCK + 1] = mask.index, mask.gates, mask.block

    def load(self, row, step):
        row[op.SOURCE_STRIDE] = step.features
        row[op.WIDTH] = step.features if step.take is None else len(step.take)
        if step.take is not None:
            row[op.TABLE] = self.table(step.take)

    def product(self, row, step):
        depth, features = step.kernel.shape
        panels, width = panel_shape(step)
        row[op.IN_GATES], row[op.IN_BLOCK] = 1, depth
        row[op.OUT_GATES], row[op.OUT_BLOCK] = 1, panels * width
        self.in_mask(row, step.in_mask)
        self.out_mask(row, step.out_mask)
        row[op.PANEL_WIDTH] = width
        row[op.WORK] = depth * features
        blocks, block = row[op.IN_GATES], row[op.IN_BLOCK]
        row[op.WEIGHTS], view = self.take(blocks * block * panels * width)
        row[op.BIAS], bias = self.take(panels * width)
        group = row[op.PANEL_GROUP] = _panel_group(row)
        packed = view.reshape(blocks, panels // group, block, group, width)
        kernel = step.kernel[: blocks * block].reshape(blocks, block, features)
        for panel, first, last in _columns(row, features):
            packed[:, panel // group, :, panel % group, : last - first] = kernel[:, :, first:last]
            bias[panel * width : panel * width + last - first] = step.bias[first:last]
        step.kernel = step.bias = np.zeros(0, "float32")
        self.activation(row, step)

    def decide(self, row, step):
        self.out_mask(row, step.mask)
        row[op.WIDTH] = step.mask.gates
        row[op.TOP_K] = step.top_k or step.fewest
        row[op.BY_THRESHOLD] = not step.top_k
        row[op.PARAMETERS] = self.keep([step.temperature, step.logit_threshold])
        row[op.PRICE] = step.price

    def shut(self, row, step):
        row[op.PARAMETERS] = self.keep(step.margins)
        row[op.WIDTH] = len(step.margins)
        row[op.PRICE] = step.price

    def multiply(self, row, step):
        self.out_mask(row, step.mask)
        row[op.WIDTH] = step.width

    def close_blocks(self, row, step):
        self.out_mask(row, step.mask)

    def affine(self, row, step):
        row[op.PARAMETERS] = self.keep(step.scale, step.shift)
        row[op.WIDTH] = len(step.scale)

    def normalize(self, row, step):
        row[op.PARAMETERS] = self.keep([step.epsilon, step.centred], step.scale, step.shift)
        row[op.WIDTH] = len(step.scale)

    def activate(self, row, step):
        row[op.WIDTH] = step.width
        row[op.WORK] = 16 * step.width
        self.activation(row, step)

    def rearrange(self, row, step):
        row[op.TABLE] = self.table(step.columns)
        row[op.WIDTH] = len(step.columns)
        row[op.POSITIONS] = step.positions

    def store(self, row, step):
        row[op.TABLE] = self.table(step.columns)
        row[op.WIDTH] = len(step.columns)


def _panel_group(row: np.ndarray) -> int:
    """Choose how many panels lie side by side: as many as fit into a tile and divide a block."""
    panels = row[op.OUT_BLOCK] // row[op.PANEL_WIDTH]
    return next(count for count in (4, 2, 1) if count <= PANELS and panels % count == 0)


def _columns(row: np.ndarray, features: int) -> Iterator[tuple[int, int, int]]:
    """Go through the panels of a product: `(panel, first feature, end)`."""
    width, gates, block = row[op.PANEL_WIDTH], row[op.OUT_GATES], row[op.OUT_BLOCK]
    size = features // gates
    for gate in range(gates):
        for at in range(0, size, width):
            panel = (gate * block + at) // width
            first = gate * size + at
            yield panel, first, min(first + width, (gate + 1) * size)


# For each type of step, its code and what writes the rest of its row.
_PACKED = {
    steps.Load: (op.LOAD, _Packer.load),
    steps.Product: (op.PRODUCT, _Packer.product),
    steps.Decide: (op.DECIDE, _Packer.decide),
    steps.Shut: (op.SHUT, _Packer.shut),
    steps.Multiply: (op.MULTIPLY, _Packer.multiply),
    steps.CloseBlocks: (op.CLOSE_BLOCKS, _Packer.close_blocks),
    steps.Affine: (op.AFFINE, _Packer.affine),
    steps.Normalize: (op.NORMALIZE, _Packer.normalize),
    steps.Activate: (op.ACTIVATE, _Packer.activate),
    steps.Rearrange: (op.REARRANGE, _Packer.rearrange),
    steps.Store: (op.STORE, _Packer.store),
}
