"""What an engine runs: a list of steps over buffers, free of Keras and of any kernel.

A buffer holds one row for each sample, or for each position of each sample where the network works
on sequences. Its columns are the features that are really there: features that static gates close
have no column, and columns may be padded. A `Layout` says which feature is where.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Mask:
    """Where the decisions of one gate are kept: `gates` of them for each row.

    Attributes:
        index: Integer, the place among the masks of the plan.
        gates: Integer, the number of gates.
        block: Integer, the columns of a buffer that share one gate, padding included.
    """

    index: int
    gates: int
    block: int


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which column of a buffer holds which feature.

    Attributes:
        width: Integer, the number of columns.
        columns: Integer array of shape `(features,)`: the column of each feature, or -1 for a
            feature that is always 0 and has none.
    """

    width: int
    columns: np.ndarray

    @classmethod
    def plain(cls, features: int, width: int | None = None) -> "Layout":
        """Make the layout in which feature `i` is column `i`."""
        return cls(width or features, np.arange(features))

    @property
    def is_plain(self) -> bool:
        """Whether feature `i` is column `i` and there is nothing else."""
        return self.width == len(self.columns) and self.is_in_order

    @property
    def is_in_order(self) -> bool:
        """Whether feature `i` is column `i`, perhaps with padding behind."""
        return bool(np.array_equal(self.columns, np.arange(len(self.columns))))

    @property
    def is_complete(self) -> bool:
        """Whether every feature has a column."""
        return bool((self.columns >= 0).all())

    def scattered(self, kept: np.ndarray, features: int) -> "Layout":
        """Make the layout of `features` features of which those in `kept` are the columns."""
        columns = np.full(features, -1)
        columns[kept] = self.columns
        return Layout(max(1, self.width), columns)

    def closed(self, is_open: np.ndarray) -> "Layout":
        """Make the layout in which the features where `is_open` is false are always 0."""
        return Layout(self.width, np.where(is_open, self.columns, -1))

    def rows_of(self, kernel: np.ndarray) -> np.ndarray:
        """Bring the rows of a kernel, one for each feature, into the order of the columns."""
        if self.is_plain:
            return kernel
        arranged = np.zeros((self.width, *kernel.shape[1:]), "float32")
        present = self.columns >= 0
        arranged[self.columns[present]] = kernel[present]
        return arranged


@dataclasses.dataclass
class Step:
    """An operation on all rows of a batch."""


@dataclasses.dataclass
class Load(Step):
    """Copy the input into a buffer, without the features that static gates close.

    With `take`, a closed feature that is not finite still makes the row NaN, as 0 * NaN does.
    """

    target: int
    features: int
    take: np.ndarray | None


@dataclasses.dataclass
class Product(Step):
    """`target = activation(source @ kernel + bias)`, for open blocks on both sides only.

    `kernel` has one row for each column of the source and one column for each feature of the
    target; with `out_mask` these are `out_mask.gates` blocks of equal size, each of which is
    padded to `out_mask.block` columns in the target. `name` is that of the layer, empty for a gate
    network.
    """

    source: int
    target: int
    kernel: np.ndarray
    bias: np.ndarray
    activation: str
    slope: float
    in_mask: Mask | None
    out_mask: Mask | None
    name: str = ""


@dataclasses.dataclass
class Decide(Step):
    """Make a mask from logits: open above the threshold, or the `top_k` largest of a row.

    The threshold is raised by one of the prices of the call. `layer` is the name of the layer whose
    gates these are.
    """

    source: int
    mask: Mask
    temperature: float
    logit_threshold: float
    top_k: int
    fewest: int
    price: int
    layer: str


@dataclasses.dataclass
class Shut(Step):
    """Write zeros into the columns of `target` that static gates close at the price of the call.

    A column is open where its margin, how far its logit lies above the threshold in units of the
    temperature, exceeds the price. What is not finite becomes NaN, as in the model.
    """

    target: int
    margins: np.ndarray
    price: int


@dataclasses.dataclass
class Multiply(Step):
    """`target *= source`, for open blocks only."""

    source: int
    target: int
    width: int
    mask: Mask | None


@dataclasses.dataclass
class CloseBlocks(Step):
    """Write zeros into the closed blocks of `target`."""

    target: int
    mask: Mask


@dataclasses.dataclass
class Affine(Step):
    """`target = target * scale + shift`, for each column."""

    target: int
    scale: np.ndarray
    shift: np.ndarray


@dataclasses.dataclass
class Normalize(Step):
    """Layer normalization of each row of `target`; RMS normalization if it is not `centred`."""

    target: int
    scale: np.ndarray
    shift: np.ndarray
    epsilon: float
    centred: bool


@dataclasses.dataclass
class Activate(Step):
    """Apply an activation function to `target`, in place."""

    target: int
    width: int
    activation: str
    slope: float


@dataclasses.dataclass
class Rearrange(Step):
    """Copy into a buffer of plain layout: `target[r, f] = source[row, column]`, or 0 for -1.

    With `positions` above 1, that many rows of the source become one row of the target.
    """

    source: int
    target: int
    columns: np.ndarray
    positions: int


@dataclasses.dataclass
class Store(Step):
    """Copy a buffer into the output: one feature from each of `columns`, or 0 for -1."""

    source: int
    columns: np.ndarray


@dataclasses.dataclass
class Buffer:
    """The memory of one tensor.

    Attributes:
        width: Integer, the columns.
        per_position: Whether there is a row for each position instead of each sample.
    """

    width: int
    per_position: bool


@dataclasses.dataclass
class Plan:
    """All steps of a network, with the buffers and masks that they name by index.

    Attributes:
        input_shape: Shape of one sample; `None` for an axis of any size.
        output_features: Integer, the size of the last axis of the output.
        output_per_position: Whether the output has the positions of the input.
        positions: Integer, the rows that become one where a `Flatten` joins them. Without one
            every row is computed by itself, and this is 1 for sequences of any length.
        prices: List of floats, what each gate charges as the model stands.
        price_tables: List of the rows of the `PriceTable` of each of these gates.
    """

    input_shape: tuple
    steps: list = dataclasses.field(default_factory=list)
    buffers: list = dataclasses.field(default_factory=list)
    masks: list = dataclasses.field(default_factory=list)
    output_features: int = 0
    output_per_position: bool = False
    positions: int = 1
    prices: list = dataclasses.field(default_factory=list)
    price_tables: list = dataclasses.field(default_factory=list)
