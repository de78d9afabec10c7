"""A bursty day served by a `BudgetGovernor`, against the same day at each fixed budget.

    python benchmarks/governor.py --data-dir data/mnist --out docs/results/governor.json

Trains a 784-1024-1024-10 network with input-dependent gates for four budgets on MNIST, and measures
on this machine, interleaved, what the engine takes for a request of 256 images at each of 14
budgets, and the accuracy at each. Then a queue with one server is simulated for 1,440 minutes: with
Poisson arrivals, a load that follows the time of day, and bursts of three times what the server can
do at the largest budget. Service times are the measured ones with their measured spread. What
decides is the governor of the package, whose clock is the simulation's.

A minute is held if at most 1 % of its requests are late, and can be held if it is at some fixed
budget. A trained model is kept in the folder `--models`.
"""

import argparse
import dataclasses
import itertools
import json
import os
import pathlib
import time

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import keras_dynamicgate as kdg
from keras_dynamicgate import experiments

TRAINED = [0.5, 0.3, 0.15, 0.05]
BUDGETS = np.geomspace(0.05, 0.5, 14).tolist()
IMAGES = 256  # in a request
CALLS, CHEAP_CALLS = 3, 200_000  # that are timed in a row
TARGET = 5.0  # times what a request takes at the largest budget
MINUTES, BURSTS, BURST_LOAD = 1440, 16, 3.0
TASK = experiments.TASKS["mnist"]


def trained_model(dataset, folder):
    """Load the model that an earlier start has trained, or train it."""
    path = folder / "elastic.keras"
    if not path.exists():
        keras.utils.set_random_seed(0)
        layers = [keras.Input((28, 28)), keras.layers.Flatten()]
        for _ in range(2):
            layers += [kdg.DynamicGateDense(1024, "relu", block_size=32), keras.layers.Dropout(0.2)]
        model = keras.Sequential([*layers, keras.layers.Dense(10)])
        recipe = dataclasses.replace(TASK.recipe, peak_learning_rate=1e-3)
        recipe.train(model, dataset, [kdg.MacBudget(TRAINED)], verbose=2)
        folder.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return keras.models.load_model(path, compile=False)


@dataclasses.dataclass
class Served:
    """What serving at a budget costs and gives, measured.

    Attributes:
        seconds: Array of the median seconds of a request at each of `BUDGETS`.
        accuracy: Array of the accuracy at each.
        spread: Array of quantiles of a request's seconds over their median.
    """

    seconds: np.ndarray
    accuracy: np.ndarray
    spread: np.ndarray

    def at(self, values, budget):
        """Interpolate between the measured budgets."""
        return float(np.interp(np.log(budget), np.log(BUDGETS), values))


def measured(engine, x, y, rounds):
    """Measure the engine at all budgets in turn, by the time that its one thread has the core.

    On a machine with nothing else to do that is what a request takes.
    """
    batches = itertools.cycle([x[i : i + IMAGES] for i in range(0, len(x) - IMAGES, IMAGES)])
    times = {budget: [] for budget in BUDGETS}
    for number in range(rounds):
        for budget in BUDGETS[:: 1 if number % 2 else -1]:
            engine.predict(next(batches), budget=budget)
            for batch in itertools.islice(batches, CALLS):
                begin = time.thread_time()
                engine.predict(batch, budget=budget)
                times[budget].append(time.thread_time() - begin)
    medians = np.array([np.median(each) for each in times.values()])
    ratios = np.concatenate([np.array(each) / np.median(each) for each in times.values()])
    accuracy = [np.mean(engine.predict(x, budget=b).argmax(axis=1) == y) for b in BUDGETS]
    return Served(medians, np.array(accuracy), np.quantile(ratios, np.linspace(0, 1, 1001)))


def load_of_the_day(random):
    """Give the load of each minute, by what the server can do at the largest budget."""
    hours = np.arange(MINUTES) / 60
    load = 0.35 - 0.25 * np.cos(2 * np.pi * (hours - 3) / 24)  # least at three in the morning
    for begin in random.choice(MINUTES // 20, BURSTS, replace=False) * 20:
        load[begin : begin + random.integers(2, 16)] = BURST_LOAD
    return load


def arrivals(rates, random):
    """Draw when requests arrive, in seconds, and in which minute."""
    counts = random.poisson(60 * rates)
    minutes = np.repeat(np.arange(MINUTES), counts)
    return np.sort(60 * (minutes + random.random(len(minutes)))), minutes


def queue(times, seconds):
    """Give the latencies of requests that are served one after the other."""
    served = np.cumsum(seconds)
    return served + np.maximum.accumulate(times - served + seconds) - times


class Clock:
    """The clock of the simulation."""

    now = 0.0

    def __call__(self):
        return self.now


def governed(engine, served, target, times, noise):
    """Give the latencies and budgets of requests that a governor serves."""
    clock, free = Clock(), 0.0
    governor = kdg.BudgetGovernor(engine, target, (BUDGETS[0], BUDGETS[-1]), clock=clock)
    latencies, budgets, known = np.empty(len(times)), np.empty(len(times)), {}
    for number, (arrival, factor) in enumerate(zip(times.tolist(), noise.tolist(), strict=True)):
        budget = budgets[number] = governor.budget
        if budget not in known:
            known[budget] = served.at(served.seconds, budget)
        free = clock.now = max(free, arrival) + known[budget] * factor
        latencies[number] = latency = free - arrival
        governor.observe(latency)
    return latencies, budgets


def held(late, minutes):
    """Tell for each minute whether at most 1 % of its requests were late."""
    counts = np.bincount(minutes, minlength=MINUTES)
    return np.bincount(minutes, late, MINUTES) <= 0.01 * counts


def p99_of_minutes(latencies, minutes):
    """Give the p99 of each minute."""
    return [
        float(np.quantile(each, 0.99, method="inverted_cdf"))
        for each in np.split(latencies, np.flatnonzero(np.diff(minutes)) + 1)
    ]


def overhead(engine):
    """Give the microseconds that a governor adds to a call, with an engine that does nothing."""
    governor = kdg.BudgetGovernor(engine, latency=1.0)
    governor._engine = type("Nothing", (), {"predict": lambda self, x: x})()
    begin = time.thread_time()
    for _ in range(CHEAP_CALLS):
        governor.predict(None)
    return 1e6 * (time.thread_time() - begin) / CHEAP_CALLS


def simulate(engine, served, random):
    """Simulate the day; give what the governor and each fixed budget make of it."""
    target = TARGET * served.seconds[-1]
    load = load_of_the_day(random)
    times, minutes = arrivals(load / served.seconds[-1], random)
    noise = random.choice(served.spread, len(times))
    fixed = [held(queue(times, noise * each) > target, minutes) for each in served.seconds]
    can_be_held = np.any(fixed, axis=0)
    latencies, budgets = governed(engine, served, target, times, noise)
    by_budget = {each: served.at(served.accuracy, each) for each in np.unique(budgets)}
    counts = np.bincount(minutes)
    return {
        "target_ms": 1e3 * target,
        "requests": len(times),
        "can_be_held": float(np.mean(can_be_held)),
        "held": float(np.mean(held(latencies > target, minutes)[can_be_held])),
        "accuracy": float(np.mean([by_budget[each] for each in budgets])),
        "moves": int(np.count_nonzero(np.diff(budgets))),
        "fixed": [
            {"budget": b, "ms": 1e3 * s, "accuracy": a, "held": float(np.mean(h[can_be_held]))}
            for b, s, a, h in zip(BUDGETS, served.seconds, served.accuracy, fixed, strict=True)
        ],
        "minutes": {
            "load": rounded(counts / 60),
            "p99_ms": rounded(1e3 * np.array(p99_of_minutes(latencies, minutes))),
            "budget": rounded(np.bincount(minutes, budgets) / counts),
        },
    }


def rounded(values):
    """Give numbers of three digits, for a small file."""
    return [float(f"{value:.3g}") for value in values]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", help="folder with the original files of MNIST")
    parser.add_argument("--models", type=pathlib.Path, default="runs/governor")
    parser.add_argument("--rounds", type=int, default=40, help="to measure the engine")
    parser.add_argument("--seed", type=int, default=0, help="of the day")
    parser.add_argument("--out", type=pathlib.Path, help="write the numbers here, too")
    options = parser.parse_args()
    dataset = TASK.dataset(options.data_dir)
    model = trained_model(dataset, options.models)
    engine = kdg.InferenceEngine(model, threads=1)
    served = measured(engine, *dataset.test[:], options.rounds)
    result = simulate(engine, served, np.random.default_rng(options.seed))
    result = {"overhead_us": overhead(engine), **result}
    table = Table("budget", "ms", "accuracy", "minutes held", title="Of what can be held")
    for row in result["fixed"]:
        table.add_row(
            f"{row['budget']:.3f}",
            f"{row['ms']:.2f}",
            f"{row['accuracy']:.2%}",
            f"{row['held']:.1%}",
        )
    table.add_row("governor", "", f"{result['accuracy']:.2%}", f"{result['held']:.1%}")
    Console().print(table)
    print({name: value for name, value in result.items() if name not in ("fixed", "minutes")})
    if options.out:
        options.out.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
