"""Running a packed program: every step, by one thread or by several that share it.

A step is cut into tickets. The calling thread announces one step after the other and takes its
tickets; helpers that are awake take some, too. The caller never waits for a helper to wake up, only
for tickets that a helper has taken: on a busy machine it does most of them itself, where the loops
of `numba.prange` wait for every thread (`benchmarks/engine_threads.py`). After a call, helpers wait
a moment for the next one, since a small network has run before a sleeping thread wakes up.

All that the threads share lies in `control`; the names of its places say what.
"""

import numpy as np
from numba import njit

from keras_dynamicgate.engine.compiled import opcodes as op
from keras_dynamicgate.engine.compiled.atomic import fetch_add, pause, read, write
from keras_dynamicgate.engine.compiled.memory import Part, control_at, memory_at, ops_at
from keras_dynamicgate.engine.compiled.sources import digest
from keras_dynamicgate.engine.compiled.step import after_step, run_step

# A step with less work than this, in multiply-accumulates, is done before a helper joins.
WORTH_SHARING = 1 << 18
TICKETS_PER_WORKER = 4
# Places in `control`. Each of the first three has a cache line of its own: the current step and its
# next ticket, in one integer so that both are read at once; the tickets done; the call that helpers
# may join. Helpers write the next line: how many are inside a call, have entered this one and are
# there at all. Only the caller writes the last: the number of its call; the workers, the positions
# of a sample and the samples that run at once, which never change; its samples; the addresses of
# its input and output.
NEXT, DONE, OPEN = 0, 8, 16
INSIDE, ENTERED, HELPERS = 24, 25, 26
CALL, WORKERS, POSITIONS, PIECE, SAMPLES, INPUTS, OUTPUTS = range(32, 39)
CONTROL_SIZE = 40
_STEP_BITS, _TICKET_MASK = 32, 0xFFFFFFFF
_CLOSED = -(1 << 62)
_NOT_YET = (1 << 31) - 1  # step 0 without tickets
# Turns of waiting, of 10 to 50 nanoseconds, after which a helper leaves a call without tickets for
# it, and after which it sleeps where no call follows.
_PATIENCE_INSIDE, _PATIENCE_BETWEEN = 1 << 17, 1 << 13


@njit(error_model="numpy")
def _place(ops, number, control):
    """Find the step of a number; give it with a part that is all of it."""
    positions, piece = control[POSITIONS], control[PIECE]
    step, begin = ops[number % len(ops)], number // len(ops) * piece
    factor = positions if step[op.PER_POSITION] else 1
    rows = min(piece, control[SAMPLES] - begin) * factor
    return step, Part(begin * factor, rows, piece * positions, np.int64(0), np.int64(1))


@njit(error_model="numpy")
def _tickets(step, rows, workers):
    """Choose the number of tickets of a step: 1 if sharing it does not pay."""
    if workers == 1 or rows * step[op.WORK] < WORTH_SHARING:
        return 1
    return workers * TICKETS_PER_WORKER


@njit(error_model="numpy")
def _work(number, ops, memory, control):
    """Take tickets of a step until there are none; give the number of the current step."""
    at = control.ctypes.data
    step, whole = _place(ops, number, control)
    tickets = _tickets(step, whole.rows, control[WORKERS])
    while True:
        # Read first: a helper that waits must not count the tickets up without end.
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
    """Begin a shared call; give its number, or 0 if a helper is still in the call before."""
    at = control.ctypes.data
    # `_join` does the same in the opposite order: either a late helper sees the new number and
    # leaves, or this sees the helper.
    call = fetch_add(at + 8 * CALL, 1) + 1
    if read(at + 8 * INSIDE) > 0:
        return 0
    write(at + 8 * ENTERED, 0)
    write(at + 8 * NEXT, _NOT_YET)
    return call


def _compiled(sources):
    """Make the compiled functions; Numba's cache compares what they close over: the sources."""

    @njit(nogil=True, cache=True, error_model="numpy")
    def run(places, inputs, outputs, samples, shared):
        """Run a program.

        Args:
            places: Where the arrays of the workspace lie; see `memory.places_of`.
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
        """Help with the current call and with those that follow soon; see `run`."""
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
