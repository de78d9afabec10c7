"""Running a packed program: every step, by one thread or by several that share it.

A step is cut into tickets. The thread that was called publishes one step after the other; helpers
that happen to be awake take tickets, too. The caller never waits for a helper to wake up, only for
tickets that are being worked on: on a busy machine it simply does most of them itself. After a
call, helpers wait a moment for the next one, since a call of a small network is over before a
thread that sleeps has woken up.

All that is shared lies in `control`: the current step and its next ticket, in one integer so that
both are read at once, the tickets done, which call this is and which one helpers may join, how many
of them there are, are inside a call and have been inside this one, and what it works on.
"""

import numpy as np
from numba import njit

from keras_dynamicgate.engine.compiled import opcodes as op
from keras_dynamicgate.engine.compiled.atomic import fetch_add, pause, read, write
from keras_dynamicgate.engine.compiled.memory import Part, control_at, memory_at, ops_at
from keras_dynamicgate.engine.compiled.sources import digest
from keras_dynamicgate.engine.compiled.step import after_step, run_step

# A step with less work than this, in multiply-accumulates, is done before a helper has come.
WORTH_SHARING = 1 << 18
TICKETS_PER_WORKER = 4
# Places in `control`. Each of the first three has a cache line of its own; then a line that helpers
# write: how many are inside a call, have been inside this one and are there at all; then a line
# that only the caller writes: the number of its call, what never changes (the workers, the rows of
# a sample, the samples that run at once), its samples and the addresses of its input and output.
NEXT, DONE, OPEN = 0, 8, 16
INSIDE, ENTERED, HELPERS = 24, 25, 26
CALL, WORKERS, POSITIONS, PIECE, SAMPLES, INPUTS, OUTPUTS = range(32, 39)
CONTROL_SIZE = 40
_STEP_BITS, _TICKET_MASK = 32, 0xFFFFFFFF
_CLOSED = -(1 << 62)
_NOT_YET = (1 << 31) - 1  # step 0 without tickets
# Turns of waiting, of 10 to 50 nanoseconds, after which a helper leaves a call that has nothing for
# it, and after which it goes back to sleep where no call comes.
_PATIENCE_INSIDE, _PATIENCE_BETWEEN = 1 << 17, 1 << 13


@njit(error_model="numpy")
def _place(ops, number, control):
    """Give the step of a number and all of it as one part."""
    positions, piece = control[POSITIONS], control[PIECE]
    step, begin = ops[number % len(ops)], number // len(ops) * piece
    factor = positions if step[op.PER_POSITION] else 1
    rows = min(piece, control[SAMPLES] - begin) * factor
    return step, Part(begin * factor, rows, piece * positions, np.int64(0), np.int64(1))


@njit(error_model="numpy")
def _tickets(step, rows, workers):
    """Give the number of tickets of a step; 1 if sharing it is not worth while."""
    if workers == 1 or rows * step[op.WORK] < WORTH_SHARING:
        return 1
    return workers * TICKETS_PER_WORKER


@njit(error_model="numpy")
def _work(number, ops, memory, control):
    """Take tickets of a step until there are none; give the number of the step that is next."""
    at = control.ctypes.data
    step, whole = _place(ops, number, control)
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
            step, whole = _place(ops, number, control)
            tickets = _tickets(step, whole.rows, control[WORKERS])
        ticket = drawn & _TICKET_MASK
        if ticket >= tickets:
            return number
        part = Part(whole.first_row, whole.rows, whole.capacity, ticket, np.int64(tickets))
        run_step(step, memory, part)
        fetch_add(at + 8 * DONE, 1)


@njit(error_model="numpy")
def _join(call, places):
    """Take tickets of the call of a given number until it is over."""
    ops, control = ops_at(places), control_at(places)
    at, helper = control.ctypes.data, control[WORKERS]
    fetch_add(at + 8 * INSIDE, 1)
    if read(at + 8 * CALL) == call:
        helper = fetch_add(at + 8 * ENTERED, 1) + 1
    if helper < control[WORKERS]:
        memory = memory_at(places, helper, control[INPUTS], control[OUTPUTS])
        number, waited = read(at + 8 * NEXT) >> _STEP_BITS, 0
        while number >= 0 and waited < _PATIENCE_INSIDE:
            following = _work(number, ops, memory, control)
            if following == number:
                waited += pause()
            else:
                waited = 0
            number = following
    fetch_add(at + 8 * INSIDE, -1)


@njit(error_model="numpy")
def _open_call(control):
    """Begin a call that is shared; give its number, or 0 if a helper is left in the last one."""
    at = control.ctypes.data
    # In this order, and the other way round in `_join`: either a late helper sees the new number
    # and leaves, or it is seen here.
    call = fetch_add(at + 8 * CALL, 1) + 1
    if read(at + 8 * INSIDE) > 0:
        return 0
    write(at + 8 * ENTERED, 0)
    write(at + 8 * NEXT, _NOT_YET)
    return call


def _compiled(sources):
    """Make the compiled functions; what cached functions close over is part of their key."""

    @njit(nogil=True, cache=True, error_model="numpy")
    def run(places, inputs, outputs, samples, shared):
        """Run a program.

        Args:
            places: Where the arrays of the workspace lie, of `kernels_memory.places_of`.
            inputs, outputs: Float32 arrays of shape `(rows, features)`.
            samples: Integer.
            shared: Whether helpers may take part.
        """
        _ = sources
        ops, control = ops_at(places), control_at(places)
        at, call = control.ctypes.data, _open_call(control) if shared else 0
        workers = control[WORKERS] if call > 0 else 1
        control[SAMPLES] = samples
        control[INPUTS], control[OUTPUTS] = inputs.ctypes.data, outputs.ctypes.data
        memory = memory_at(places, 0, control[INPUTS], control[OUTPUTS])
        if call > 0:
            write(at + 8 * OPEN, call)
        piece = control[PIECE]
        for number in range((samples + piece - 1) // piece * len(ops)):
            step, whole = _place(ops, number, control)
            tickets = _tickets(step, whole.rows, workers)
            if tickets == 1:
                run_step(step, memory, whole)
            else:
                write(at + 8 * DONE, 0)
                write(at + 8 * NEXT, number << _STEP_BITS)
                _work(number, ops, memory, control)
                while read(at + 8 * DONE) < tickets:
                    pause()
            after_step(step, memory.lists, whole.rows, whole.capacity)
        write(at + 8 * NEXT, _CLOSED)

    @njit(nogil=True, cache=True, error_model="numpy")
    def help_run(places):
        """Help with the call that goes on and with those that follow soon; see `run`."""
        _ = sources
        at, last, waited = control_at(places).ctypes.data, 0, 0
        fetch_add(at + 8 * HELPERS, 1)
        while waited < _PATIENCE_BETWEEN:
            current = read(at + 8 * OPEN)
            if current == last:
                waited += pause()
            else:
                _join(current, places)
                last, waited = current, 0
        fetch_add(at + 8 * HELPERS, -1)

    return run, help_run


run, help_run = _compiled(digest())
