"""Running a packed program: every step, by one thread or by several that share it.

A step is cut into tickets. The thread that was called publishes one step after the other; helpers
that happen to be awake take tickets, too. The caller never waits for a helper to wake up, only for
tickets that are being worked on: on a busy machine it simply does most of them itself. All that is
shared lies in `control`: the current step and its next ticket, in one integer so that both are read
at once, the tickets done, which call this is, and how many helpers are and have been inside.
"""

import numpy as np
from numba import njit

from keras_dynamicgate.inference import opcodes as op
from keras_dynamicgate.inference.kernels_atomic import fetch_add, read, write
from keras_dynamicgate.inference.kernels_memory import Memory, Part
from keras_dynamicgate.inference.kernels_steps import after_step, run_step
from keras_dynamicgate.inference.sources import digest

# A step with less work than this, in multiply-accumulates, is done before a helper has come.
WORTH_SHARING = 1 << 19
TICKETS_PER_WORKER = 4
# Places in `control`, each on a cache line of its own.
NEXT, DONE, CALL, INSIDE, ENTERED, WORKERS = 0, 8, 16, 24, 32, 40
CONTROL_SIZE = 48
_STEP_BITS, _TICKET_MASK = 32, 0xFFFFFFFF
_CLOSED = -(1 << 62)
_NOT_YET = (1 << 31) - 1  # step 0 without tickets
# About a millisecond: a helper that waits longer leaves the call.
_PATIENCE = 1 << 18


@njit(error_model="numpy")
def _place(ops, number, sizes):
    """Give the step of a number and all of it as one part; `sizes` as in `run`."""
    samples, positions, piece = sizes
    step, begin = ops[number % len(ops)], number // len(ops) * piece
    factor = positions if step[op.PER_POSITION] else 1
    rows = min(piece, samples - begin) * factor
    return step, Part(begin * factor, rows, piece * positions, np.int64(0), np.int64(1))


@njit(error_model="numpy")
def _tickets(step, rows, workers):
    """Give the number of tickets of a step; 1 if sharing it is not worth while."""
    if workers == 1 or rows * step[op.WORK] < WORTH_SHARING:
        return 1
    return workers * TICKETS_PER_WORKER


@njit(error_model="numpy")
def _work(number, ops, memory, control, sizes):
    """Take tickets of a step until there are none; give the number of the step that is next."""
    at = control.ctypes.data
    step, whole = _place(ops, number, sizes)
    tickets = _tickets(step, whole.rows, control[WORKERS])
    while True:
        # Looked at first: a helper that waits must not draw tickets without end.
        current = read(at + 8 * NEXT)
        if current >> _STEP_BITS != number or current & _TICKET_MASK >= tickets:
            return current >> _STEP_BITS
        drawn = fetch_add(at + 8 * NEXT, 1)
        if drawn >> _STEP_BITS != number:
            # The caller went on in between: this is a ticket of a later step.
            number = drawn >> _STEP_BITS
            if number < 0:
                return number
            step, whole = _place(ops, number, sizes)
            tickets = _tickets(step, whole.rows, control[WORKERS])
        ticket = drawn & _TICKET_MASK
        if ticket >= tickets:
            return number
        part = Part(whole.first_row, whole.rows, whole.capacity, ticket, np.int64(tickets))
        run_step(step, memory, part)
        fetch_add(at + 8 * DONE, 1)


def _compiled(sources):
    """Make the compiled functions; what cached functions close over is part of their key."""

    @njit(nogil=True, cache=True)
    def open_call(control):
        """Let helpers in; give the number of the call, or -1 if one is left from the last one."""
        _ = sources
        at = control.ctypes.data
        # In this order, and the other way round in `help_run`: either a late helper sees the new
        # number and leaves, or it is seen here.
        call = fetch_add(at + 8 * CALL, 1) + 1
        if read(at + 8 * INSIDE) > 0:
            return -1
        write(at + 8 * ENTERED, 0)
        write(at + 8 * NEXT, _NOT_YET)
        return call

    @njit(nogil=True, cache=True, error_model="numpy")
    def run(ops, weights, tables, inputs, outputs, values, lists, scratch, control, sizes):
        """Run a program.

        Args:
            ops: Int64 array of shape `(steps, FIELDS)`, bound to a workspace.
            weights, tables: The arrays of the program.
            inputs, outputs: Float32 arrays of shape `(rows, features)`.
            values, lists, scratch, control: The arrays of the workspace.
            sizes: Samples, rows of a sample (positions) and samples that run at once.
        """
        _ = sources
        samples, _positions, piece = sizes
        memory = Memory(weights, tables, inputs, outputs, values, lists, scratch[0])
        at, workers = control.ctypes.data, control[WORKERS]
        for number in range((samples + piece - 1) // piece * len(ops)):
            step, whole = _place(ops, number, sizes)
            tickets = _tickets(step, whole.rows, workers)
            if tickets == 1:
                run_step(step, memory, whole)
            else:
                write(at + 8 * DONE, 0)
                write(at + 8 * NEXT, number << _STEP_BITS)
                _work(number, ops, memory, control, sizes)
                while read(at + 8 * DONE) < tickets:
                    pass
            after_step(step, lists, whole.rows, whole.capacity)
        write(at + 8 * NEXT, _CLOSED)

    @njit(nogil=True, cache=True, error_model="numpy")
    def help_run(
        ops, weights, tables, inputs, outputs, values, lists, scratch, control, sizes, call
    ):
        """Take tickets of the call of a given number until it is over; see `run`."""
        _ = sources
        at, helper = control.ctypes.data, len(scratch)
        fetch_add(at + 8 * INSIDE, 1)
        if read(at + 8 * CALL) == call:
            helper = fetch_add(at + 8 * ENTERED, 1) + 1
        if helper < len(scratch):
            memory = Memory(weights, tables, inputs, outputs, values, lists, scratch[helper])
            number, waited = read(at + 8 * NEXT) >> _STEP_BITS, 0
            while number >= 0 and waited < _PATIENCE:
                following = _work(number, ops, memory, control, sizes)
                waited = waited + 1 if following == number else 0
                number = following
        fetch_add(at + 8 * INSIDE, -1)

    return open_call, run, help_run


open_call, run, help_run = _compiled(digest())
