"""The format of a packed program: one row of integers for each step.

Plain integers, because compiled kernels take them as constants.
"""

import enum

# What a step does.
LOAD, PRODUCT, DECIDE, SHUT, MULTIPLY, CLOSE_BLOCKS = range(6)
AFFINE, NORMALIZE, ACTIVATE, REARRANGE, STORE = range(6, 11)

# Columns of a row that every step has: what it does, whether it runs for each position, the
# multiply-accumulates (or the like) of one row, the first float of source and target and the
# floats from one of their rows to the next, and the columns that it works on.
CODE, PER_POSITION, WORK, SOURCE, SOURCE_STRIDE, TARGET, TARGET_STRIDE, WIDTH = range(8)

# Masks: where they lie among the integers (-1: no mask), their gates, the columns of a block.
IN_MASK, IN_GATES, IN_BLOCK, OUT_MASK, OUT_GATES, OUT_BLOCK = range(8, 14)

# Products: where panels and bias lie in the weights, columns of a panel, activation, slope.
WEIGHTS, BIAS, PANEL_WIDTH, ACTIVATION, PARAMETERS = range(14, 19)
# Panels that lie side by side, so that they are read as one stream.
PANEL_GROUP = 23

# Decisions: the number to open by rank, whether the threshold opens gates, too.
TOP_K, BY_THRESHOLD = 19, 20

# Gates: the place of their price among the floats of the workspace (-1: none).
PRICE = 24

# Copies: the table of columns (-1: none), positions that become one row.
TABLE, POSITIONS = 21, 22

# A buffer is named by its index until the program is bound to a workspace.
FIELDS = 25


class Activation(enum.IntEnum):
    """Number the activation functions: their names in Keras, in capitals."""

    # Kernels count on the first two.
    (
        LINEAR,
        RELU,
        LEAKY_RELU,
        RELU6,
        ELU,
        SELU,
        TANH,
        GELU,
        SILU,
        SOFTSIGN,
        MISH,
        HARD_SILU,
        SIGMOID,
        SOFTPLUS,
        EXPONENTIAL,
        HARD_SIGMOID,
        SOFTMAX,
        LOG_SOFTMAX,
    ) = range(18)


ACTIVATION_NAMES = tuple(each.name.lower() for each in Activation)

# Which of the two ways to run a product.
BY_SAMPLE, BY_BLOCK = 0, 1
_FEW_ROWS, _SMALL_IN_BLOCK, _SMALL_OUT_BLOCK = 8, 32, 8


def product_mode(rows: int, in_block: int, out_block: int) -> int:
    """Choose how to run a product, by what was measured to be fastest.

    A block is read once for all its rows, which pays unless there are few rows or the products of
    single blocks are so small that starting them takes longer than computing them.

    Args:
        rows: Integer, the rows of the batch.
        in_block: Integer, the columns of an input block, 0 if the input has no gates.
        out_block: Integer, the columns of an output block, 0 if the output has no gates.

    Returns:
        `BY_SAMPLE` or `BY_BLOCK`.
    """
    if rows == 1:
        return BY_SAMPLE
    if out_block > 0 and 0 < in_block <= _SMALL_IN_BLOCK:
        return BY_SAMPLE
    if 0 < out_block <= _SMALL_OUT_BLOCK and rows <= _FEW_ROWS:
        return BY_SAMPLE
    return BY_BLOCK
