"""Call the compiled function of each step of a program."""

from numba import njit

from keras_dynamicgate.engine.compiled import masks, products, rows
from keras_dynamicgate.engine.compiled import opcodes as op
from keras_dynamicgate.engine.compiled.panels import ACTIVATE

_product_mode = njit(op.product_mode)


@njit(error_model="numpy")
def run_step(step, memory, part):
    """Run one part of a step; see `steps` for what each does."""
    code, weights, values, lists = step[op.CODE], memory.weights, memory.values, memory.lists
    if code == op.PRODUCT:
        _product(step, memory, part)
        return
    first = part.rows * part.ticket // part.tickets
    last = part.rows * (part.ticket + 1) // part.tickets
    if code == op.LOAD:
        rows.load(step, memory.tables, memory.inputs, part.first_row, values, first, last)
    elif code == op.DECIDE:
        masks.decide(step, weights, values, lists, first, last)
    elif code == op.SHUT:
        masks.shut(step, weights, values, first, last)
    elif code == op.MULTIPLY:
        masks.multiply(step, values, lists, first, last)
    elif code == op.CLOSE_BLOCKS:
        masks.close_blocks(step, values, lists, first, last)
    elif code == op.AFFINE:
        rows.affine(step, weights, values, first, last)
    elif code == op.NORMALIZE:
        rows.normalize(step, weights, values, first, last)
    elif code == op.ACTIVATE:
        rows.activate_rows(step, weights, values, memory.scratch[ACTIVATE], first, last)
    elif code == op.REARRANGE:
        rows.rearrange(step, memory.tables, values, first, last)
    elif code == op.STORE:
        outputs = memory.outputs
        rows.store(step, memory.tables, values, outputs, part.first_row, first, last)


@njit(error_model="numpy")
def _product(step, memory, part):
    in_block = step[op.IN_BLOCK] if step[op.IN_MASK] >= 0 else 0
    out_block = step[op.OUT_BLOCK] if step[op.OUT_MASK] >= 0 else 0
    if _product_mode(part.rows, in_block, out_block) == op.BY_SAMPLE:
        products.product_by_sample(step, memory, part)
    else:
        products.product_by_block(step, memory, part)


@njit(error_model="numpy")
def after_step(step, lists, rows, capacity):
    """List what a decision opened, once all rows are decided."""
    if step[op.CODE] == op.DECIDE:
        masks.list_by_sample(step, lists, rows, capacity)
        if rows > 1:
            masks.list_by_block(step, lists, rows, capacity)
