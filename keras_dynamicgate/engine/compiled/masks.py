"""Compiled steps that make masks and apply them.

A mask is, for each row, one flag for each gate; then the number of open gates of each row and the
lists of them; then the number of rows that each gate is open for and the lists of those.
`capacity` is the number of rows that there is room for.
"""

import numpy as np
from numba import njit

from keras_dynamicgate.engine.compiled import opcodes as op

_ZERO = np.float32(0.0)


@njit(error_model="numpy")
def row_lists(mask, gates, capacity):
    """Find where the numbers of open gates of each row begin, and where their lists do."""
    counts = mask + gates * capacity
    return counts, counts + capacity


@njit(error_model="numpy")
def gate_lists(mask, gates, capacity):
    """Find where the numbers of rows of each gate begin, and where their lists do."""
    counts = mask + 2 * gates * capacity + capacity
    return counts, counts + gates


@njit(error_model="numpy")
def decide(step, weights, values, lists, first, last):
    """Turn the logits of rows into flags."""
    gates, parameters = step[op.OUT_GATES], step[op.PARAMETERS]
    temperature = weights[parameters]
    threshold = weights[parameters + 1] + values[step[op.PRICE]]
    for row in range(first, last):
        at = step[op.SOURCE] + row * step[op.SOURCE_STRIDE]
        logits = values[at : at + gates]
        flags = lists[step[op.OUT_MASK] + row * gates : step[op.OUT_MASK] + (row + 1) * gates]
        total = _ZERO
        for i in range(gates):
            total += logits[i] * _ZERO
            flags[i] = logits[i] / temperature > threshold and step[op.BY_THRESHOLD] > 0
        if total != total and _has_nan(logits):
            # A row with NaN opens all gates, so that its outputs are NaN as in the model.
            for i in range(gates):
                flags[i] = 1
        elif step[op.TOP_K] > 0:
            _open_largest(logits, step[op.TOP_K], flags)


@njit(error_model="numpy")
def _has_nan(logits):
    for i in range(len(logits)):  # noqa: SIM110 (compiled)
        if logits[i] != logits[i]:
            return True
    return False


@njit(error_model="numpy")
def _open_largest(logits, count, flags):
    """Open the `count` largest; the lower index wins a tie.

    The smallest logit to open is found first, without sorting or copying.
    """
    lowest = _kth_largest(logits, count)
    left = count
    for i in range(len(logits)):
        left -= logits[i] > lowest
    for i in range(len(logits)):
        if logits[i] > lowest:
            flags[i] = 1
        elif logits[i] == lowest and left > 0:
            flags[i] = 1
            left -= 1


@njit(error_model="numpy")
def _kth_largest(logits, count):
    """Give the `count`-th largest value, by narrowing the range that it lies in."""
    low, high = np.float32(-np.inf), np.float32(np.inf)
    pivot = logits[0]
    while True:
        above, equal = 0, 0
        for i in range(len(logits)):
            above += logits[i] > pivot
            equal += logits[i] == pivot
        if above < count <= above + equal:
            return pivot
        if above >= count:
            low = pivot
        else:
            high = pivot
        pivot, found = _middle(logits, low, high)
        if not found:
            return high if above >= count else low


@njit(error_model="numpy")
def _middle(logits, low, high):
    """Give the value nearest to the mean of those strictly between two others, if there is one."""
    total, found = 0.0, 0
    for i in range(len(logits)):
        if low < logits[i] < high:
            total += logits[i]
            found += 1
    mean = total / max(found, 1)
    best, distance = low, np.inf
    for i in range(len(logits)):
        if low < logits[i] < high and (best == low or abs(logits[i] - mean) < distance):
            best, distance = logits[i], abs(logits[i] - mean)
    return best, found > 0


@njit(error_model="numpy")
def list_by_sample(step, lists, rows, capacity):
    """List the open gates of every row."""
    mask, gates = step[op.OUT_MASK], step[op.OUT_GATES]
    counts, entries = row_lists(mask, gates, capacity)
    for row in range(rows):
        count = 0
        for gate in range(gates):
            lists[entries + row * gates + count] = gate
            count += lists[mask + row * gates + gate]
        lists[counts + row] = count


@njit(error_model="numpy")
def list_by_block(step, lists, rows, capacity):
    """List the rows that every gate is open for, in ascending order."""
    mask, gates = step[op.OUT_MASK], step[op.OUT_GATES]
    counts, entries = gate_lists(mask, gates, capacity)
    for gate in range(gates):
        lists[counts + gate] = 0
    for row in range(rows):
        for gate in range(gates):
            count = lists[counts + gate]
            if lists[mask + row * gates + gate]:
                lists[entries + gate * capacity + count] = row
                lists[counts + gate] = count + 1


@njit(error_model="numpy")
def shut(step, weights, values, first, last):
    """Write zeros into the columns that static gates close; see `steps.Shut`."""
    width, price = step[op.WIDTH], values[step[op.PRICE]]
    margins = weights[step[op.PARAMETERS] : step[op.PARAMETERS] + width]
    for row in range(first, last):
        at = step[op.TARGET] + row * step[op.TARGET_STRIDE]
        v = values[at : at + width]
        for i in range(width):
            v[i] = v[i] if margins[i] > price else v[i] * _ZERO


@njit(error_model="numpy")
def close_blocks(step, values, lists, first, last):
    """Write zeros into closed blocks."""
    gates, block = step[op.OUT_GATES], step[op.OUT_BLOCK]
    for row in range(first, last):
        at = step[op.TARGET] + row * step[op.TARGET_STRIDE]
        for gate in range(gates):
            if not lists[step[op.OUT_MASK] + row * gates + gate]:
                values[at + gate * block : at + (gate + 1) * block] = _ZERO


@njit(error_model="numpy")
def multiply(step, values, lists, first, last):
    """Multiply the target with the source where blocks are open."""
    gates, block = step[op.OUT_GATES], step[op.OUT_BLOCK]
    if step[op.OUT_MASK] < 0:
        gates, block = 1, step[op.WIDTH]
    for row in range(first, last):
        source = step[op.SOURCE] + row * step[op.SOURCE_STRIDE]
        target = step[op.TARGET] + row * step[op.TARGET_STRIDE]
        for gate in range(gates):
            if step[op.OUT_MASK] < 0 or lists[step[op.OUT_MASK] + row * gates + gate]:
                begin, end = gate * block, (gate + 1) * block
                factors = values[source + begin : source + end]
                products = values[target + begin : target + end]
                for i in range(len(factors)):
                    products[i] *= factors[i]
