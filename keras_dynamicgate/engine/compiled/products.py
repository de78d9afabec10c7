"""Compiled products that run open blocks only, sample by sample or block by block.

By sample suits single rows: the open panels are read one after the other, each once. By block suits
batches: each open block is read once and serves all rows that it is open for, in tiles of several
rows, so that large batches reach the speed of a dense product.
"""

from numba import njit

from keras_dynamicgate.engine.compiled import opcodes as op
from keras_dynamicgate.engine.compiled import panels as tiles
from keras_dynamicgate.engine.compiled.masks import gate_lists, row_lists
from keras_dynamicgate.engine.compiled.tile import PANELS, ROWS, SINGLE_ROW, SINGLE_ROW_PANELS

# Up to so many rows, all columns of an output stay in the cache while the blocks pass by.
_FEW_ROWS = 32


@njit(error_model="numpy")
def product_by_sample(step, memory, part):
    """Run a product for one row after the other; tickets divide the open panels of each row."""
    panels = step[op.OUT_BLOCK] // step[op.PANEL_WIDTH]
    for row in range(part.rows):
        segments = _open_segments(step, memory, row, part.capacity)
        gates, entries = step[op.OUT_GATES], -1
        if step[op.OUT_MASK] >= 0:
            counts, entries = row_lists(step[op.OUT_MASK], gates, part.capacity)
            entries += row * gates
            gates = memory.lists[counts + row]
        total = gates * panels
        groups = (total + SINGLE_ROW_PANELS - 1) // SINGLE_ROW_PANELS
        at = groups * part.ticket // part.tickets * SINGLE_ROW_PANELS
        last = min(total, groups * (part.ticket + 1) // part.tickets * SINGLE_ROW_PANELS)
        tiles.set_row(step, memory, 0, row)
        while at < last:
            count = tiles.next_panels(last - at)
            for j in range(count):
                gate = (at + j) // panels
                gate = gate if entries < 0 else memory.lists[entries + gate]
                tiles.set_panel(step, memory, j, gate * panels + (at + j) % panels)
            tiles.run_tile(step, memory, SINGLE_ROW, count, segments, True)
            at += count


@njit(error_model="numpy")
def _open_segments(step, memory, row, capacity):
    """Write down the segments of the open input blocks of a row and count them."""
    if step[op.IN_MASK] < 0:
        tiles.set_segment(step, memory, 0, 1, 0)
        return 1
    gates = step[op.IN_GATES]
    counts, entries = row_lists(step[op.IN_MASK], gates, capacity)
    entries += row * gates
    count = memory.lists[counts + row]
    for n in range(count):
        tiles.set_segment(step, memory, n, count, memory.lists[entries + n])
    return count


@njit(error_model="numpy")
def product_by_block(step, memory, part):
    """Run a product for one block after the other."""
    if step[op.IN_MASK] < 0:
        _open_columns(step, memory, part)
    elif step[op.OUT_MASK] < 0:
        _open_rows(step, memory, part)
    else:
        _open_both(step, memory, part)


@njit(error_model="numpy")
def _open_columns(step, memory, part):
    """Run a product whose output may be gated; tickets divide its tiles evenly."""
    gates, panels = step[op.OUT_GATES], step[op.OUT_BLOCK] // step[op.PANEL_WIDTH]
    mask = step[op.OUT_MASK]
    counts, entries = gate_lists(mask, gates, part.capacity)
    groups = (panels + PANELS - 1) // PANELS
    total = 0
    for gate in range(gates):
        count = part.rows if mask < 0 else memory.lists[counts + gate]
        total += (count + ROWS - 1) // ROWS * groups
    first = total * part.ticket // part.tickets
    last = total * (part.ticket + 1) // part.tickets
    tiles.set_segment(step, memory, 0, 1, 0)
    passed = 0
    for gate in range(gates):
        count = part.rows if mask < 0 else memory.lists[counts + gate]
        rows = entries + gate * part.capacity if mask >= 0 else -1
        height = (count + ROWS - 1) // ROWS
        for group in range(groups):
            begin, end = max(first - passed, 0), min(last - passed, height)
            passed += height
            if begin < end:
                panel, wide = gate * panels + group * PANELS, min(PANELS, panels - group * PANELS)
                end = min(end * ROWS, count)
                tiles.run_rows(step, memory, rows, begin * ROWS, end, panel, wide, True)


@njit(error_model="numpy")
def _open_rows(step, memory, part):
    """Run a product whose input is gated; tickets divide its columns or, if few, its rows."""
    panels = step[op.OUT_BLOCK] // step[op.PANEL_WIDTH]
    groups = (panels + PANELS - 1) // PANELS
    ticket, tickets = part.ticket, part.tickets
    first_group, last_group, first_row, last_row = 0, groups, 0, part.rows
    if groups % tickets == 0 or groups >= 8 * tickets or part.rows < ROWS * tickets:
        first_group, last_group = groups * ticket // tickets, groups * (ticket + 1) // tickets
    else:
        first_row, last_row = part.rows * ticket // tickets, part.rows * (ticket + 1) // tickets
    span = max(1, last_group - first_group) if part.rows <= _FEW_ROWS else 1
    for group in range(first_group, last_group, span):
        panel = group * PANELS
        count = min(span * PANELS, panels - panel)
        tiles.start_from_bias(step, memory, -1, first_row, last_row, panel, count)
        for block in range(step[op.IN_GATES]):
            rows, begin, end = _rows_of_block(step, memory, block, first_row, last_row, part)
            tiles.set_segment(step, memory, 0, 1, block)
            for done in range(0, count, PANELS):
                wide = min(PANELS, count - done)
                tiles.run_rows(step, memory, rows, begin, end, panel + done, wide, False)
        tiles.finish(step, memory, -1, first_row, last_row, panel, count)


@njit(error_model="numpy")
def _rows_of_block(step, memory, block, first_row, last_row, part):
    """Give the list of a block's open rows and which part of it lies between two rows."""
    counts, entries = gate_lists(step[op.IN_MASK], step[op.IN_GATES], part.capacity)
    entries += block * part.capacity
    begin, end = 0, memory.lists[counts + block]
    while begin < end and memory.lists[entries + begin] < first_row:
        begin += 1
    while begin < end and memory.lists[entries + end - 1] >= last_row:
        end -= 1
    return entries, begin, end


@njit(error_model="numpy")
def _open_both(step, memory, part):
    """Run a product that is gated on both sides; tickets divide its groups of panels."""
    gates, panels = step[op.OUT_GATES], step[op.OUT_BLOCK] // step[op.PANEL_WIDTH]
    counts, entries = gate_lists(step[op.OUT_MASK], gates, part.capacity)
    groups = (panels + PANELS - 1) // PANELS
    total = 0
    for gate in range(gates):
        total += memory.lists[counts + gate] * groups
    passed = 0
    for gate in range(gates):
        count, rows = memory.lists[counts + gate], entries + gate * part.capacity
        for group in range(groups):
            mine = passed * part.tickets // max(total, 1) == part.ticket
            passed += count
            if not mine or count == 0:
                continue
            panel, wide = gate * panels + group * PANELS, min(PANELS, panels - group * PANELS)
            tiles.start_from_bias(step, memory, rows, 0, count, panel, wide)
            for block in range(step[op.IN_GATES]):
                tiles.set_segment(step, memory, 0, 1, block)
                _run_open_pairs(step, memory, rows, count, block, panel, wide)
            tiles.finish(step, memory, rows, 0, count, panel, wide)


@njit(error_model="numpy")
def _run_open_pairs(step, memory, rows, count, block, panel, wide):
    """Run tiles for the rows of a list for which one input block is open, too."""
    flags, gates, size = step[op.IN_MASK] + block, step[op.IN_GATES], 0
    for n in range(count):
        row = memory.lists[rows + n]
        if memory.lists[flags + row * gates]:
            tiles.set_row(step, memory, size, row)
            size += 1
        if size == ROWS or (n == count - 1 and size > 0):
            tiles.run_panels(step, memory, size, panel, wide, False)
            size = 0
