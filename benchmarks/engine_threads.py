"""What the engine's helper threads bring: against one thread and against Numba's `prange`.

    python benchmarks/engine_threads.py --json engine_threads.json

Runs the same compiled steps, cut into the same parts, in three ways: by one thread; by the engine
with helpers that take parts as they are free; and by a loop over the parts with `prange`. The
networks are a feed-forward block 1024-4096-1024 with a quarter of its blocks of 128 open for each
sample, and 784-256-10 with half of its blocks of 16. All ways run interleaved on several copies
of a network, with pauses between them. Ratios are above 1 where a way is faster than one thread:
the median over rounds, which is what a busy machine gives, and that of the shortest calls, in which
nothing else wanted the cores.
"""

import argparse
import itertools
import json
import os
import pathlib
import time

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numba
import numpy as np
from rich.console import Console
from rich.table import Table

import keras_dynamicgate as kdg
from keras_dynamicgate.engine.compiled import run
from keras_dynamicgate.engine.compiled.kernels import CompiledKernels
from keras_dynamicgate.engine.compiled.memory import Part, control_at, memory_at, ops_at
from keras_dynamicgate.engine.compiled.step import after_step, run_step
from keras_dynamicgate.engine.compiled.workspace import Workspace
from keras_dynamicgate.latency.timing import LEAST_CALLS, PAUSE, TIMED, WARM_UP, timed_calls

WAYS = ("one thread", "helpers", "prange")


def block():
    """Make the feed-forward block."""
    gate = kdg.LowRankGate(16)
    layer = kdg.DynamicGateMLP(4096, 1024, block_size=128, top_k=8, gate=gate)
    return keras.Sequential([keras.Input((1024,)), layer])


def small():
    """Make a network of the size of the comparison on MNIST."""
    gate = kdg.LowRankGate(8)
    layer = kdg.DynamicGateDense(256, "relu", block_size=16, top_k=8, gate=gate)
    return keras.Sequential([keras.Input((784,)), layer, keras.layers.Dense(10)])


NETWORKS = {"1024-4096-1024": block, "784-256-10": small}


@numba.njit(error_model="numpy")
def one_part(places, number, ticket, tickets):
    """Run one part of a step, with scratch of its own."""
    control = control_at(places)
    memory = memory_at(places, ticket, control[run.INPUTS], control[run.OUTPUTS])
    step, whole = run._place(ops_at(places), number, control)
    part = Part(whole.first_row, whole.rows, whole.capacity, np.int64(ticket), np.int64(tickets))
    run_step(step, memory, part)


@numba.njit(error_model="numpy", nogil=True, parallel=True)
def run_parallel(places, inputs, outputs, samples):
    """Run a program, the parts of a step in parallel."""
    ops, control = ops_at(places), control_at(places)
    control[run.SAMPLES] = samples
    control[run.INPUTS], control[run.OUTPUTS] = inputs.ctypes.data, outputs.ctypes.data
    memory = memory_at(places, 0, control[run.INPUTS], control[run.OUTPUTS])
    piece = control[run.PIECE]
    for number in range((samples + piece - 1) // piece * len(ops)):
        step, whole = run._place(ops, number, control)
        tickets = run._tickets(step, whole.rows, control[run.WORKERS])
        if tickets == 1:
            run_step(step, memory, whole)
        else:
            for ticket in numba.prange(tickets):
                one_part(places, number, ticket, tickets)
        after_step(step, memory.lists, whole.rows, whole.capacity)


class ParallelSpace(Workspace):
    """Memory of a call whose parts run in a `prange`: scratch for each part."""

    def __init__(self, program, samples, threads):
        super().__init__(program, samples, threads * run.TICKETS_PER_WORKER)
        self._control[run.WORKERS] = threads

    def run(self, inputs, outputs, samples, shared):
        if shared:
            run_parallel(self._places, inputs, outputs, samples)
        else:
            run.run(self._places, inputs, outputs, samples, False)


class ParallelKernels(CompiledKernels):
    """The kernels of an engine whose parts run in a `prange`."""

    def _warm_up(self):
        pass

    def _take(self, samples):
        space = self._idle.pop() if self._idle else None
        if space is None or not space.fits(samples):
            space = ParallelSpace(self.program, samples, self.threads)
        return space


def ways_of(model, threads):
    """Give an engine for each way to run a model."""
    engines = [kdg.InferenceEngine(model, threads=count) for count in (1, threads, threads)]
    own = engines[2]._kernels
    engines[2]._kernels = ParallelKernels.__new__(ParallelKernels)
    vars(engines[2]._kernels).update(program=own.program, threads=threads, _idle=[])
    return dict(zip(WAYS, engines, strict=True))


def round_of(engines, ways, batches):
    """Time some ways in turn; give the median and the minimum of each, in seconds."""
    result = {}
    for way in ways:
        time.sleep(PAUSE)
        cycle = itertools.cycle(batches)
        timed_calls(engines[way].predict, cycle, WARM_UP, 1)
        times = timed_calls(engines[way].predict, cycle, TIMED, LEAST_CALLS)
        result[way] = float(np.median(times)), min(times)
    return result


def row(name, size, copies, rounds):
    """Compare the ways by the medians of rounds and by the minima of copies."""
    medians = {way: np.array([each[way][0] for each in rounds]) for way in WAYS}
    minima = {
        way: np.array([min(each[way][1] for each in rounds[i::copies]) for i in range(copies)])
        for way in WAYS
    }
    one = WAYS[0]
    return {
        "network": name,
        "batch_size": size,
        "one_thread_ms": 1e3 * float(np.median(minima[one])),
        "medians": {way: float(np.median(medians[one] / medians[way])) for way in WAYS[1:]},
        "minima": {way: float(np.median(minima[one] / minima[way])) for way in WAYS[1:]},
        "rounds": len(rounds),
    }


def check(engines, batch):
    """Make sure that all ways compute the same."""
    expected = engines[WAYS[0]].predict(batch)
    for way in WAYS[1:]:
        if not np.allclose(engines[way].predict(batch), expected, atol=1e-5):
            raise RuntimeError(f"{way} differs from one thread")


def measure(options):
    """Measure all networks and batch sizes equally long, in turn; give a list of rows."""
    random = np.random.default_rng(0)
    cases = {}
    for name, build in NETWORKS.items():
        copies = [ways_of(build(), options.threads) for _ in range(options.copies)]
        features = copies[0][WAYS[0]]._features
        for size in options.batch_sizes:
            batches = [random.normal(size=(size, features)).astype("float32") for _ in range(16)]
            for engines in copies:
                check(engines, batches[0])
            cases[name, size] = copies, batches, []
    spent, end = dict.fromkeys(cases, 0.0), time.perf_counter() + options.seconds
    while time.perf_counter() < end or any(
        len(case[2]) < options.copies for case in cases.values()
    ):
        case = min(spent, key=spent.get)
        copies, batches, rounds = cases[case]
        begin = time.perf_counter()
        ways = WAYS if len(rounds) // options.copies % 2 else WAYS[::-1]
        rounds.append(round_of(copies[len(rounds) % options.copies], ways, batches))
        spent[case] += time.perf_counter() - begin
    return [row(*case, options.copies, rounds) for case, (_, _, rounds) in cases.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8, 64, 1024])
    parser.add_argument("--copies", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=120.0, help="for all of it")
    parser.add_argument("--json", type=pathlib.Path, help="write the numbers here, too")
    options = parser.parse_args()
    numba.set_num_threads(options.threads)
    rows = measure(options)
    layer = numba.threading_layer()
    table = Table(title=f"Times as fast as one thread, {options.threads} threads, prange: {layer}")
    for head in ("network", "batch", "one thread, ms"):
        table.add_column(head, justify="right")
    for kind in ("medians", "minima"):
        for way in WAYS[1:]:
            table.add_column(f"{way}, {kind}", justify="right")
    for each in rows:
        cells = [each[kind][way] for kind in ("medians", "minima") for way in WAYS[1:]]
        ratios = [f"{ratio:.2f}" for ratio in cells]
        one = f"{each['one_thread_ms']:.3f}"
        table.add_row(each["network"], str(each["batch_size"]), one, *ratios)
    Console(width=110).print(table)
    if options.json:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        result = {"threads": options.threads, "prange": layer, "load": load, "rows": rows}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
