"""Measuring a `LatencyTable`: one model, open in many ways, all of them timed in turns."""

import itertools
from collections.abc import Sequence
from typing import Any, get_args

import keras
import numpy as np

from keras_dynamicgate import graph
from keras_dynamicgate.latency.deployed_cost import DeployedCost
from keras_dynamicgate.latency.deployment import RUNTIMES, Deployment
from keras_dynamicgate.latency.fit import Terms, fit
from keras_dynamicgate.latency.product_times import ProductTimes
from keras_dynamicgate.latency.setup import Runtime
from keras_dynamicgate.latency.table import LatencyTable
from keras_dynamicgate.latency.timing import LEAST_CALLS, timed_calls
from keras_dynamicgate.utils import checks

# Ways to open the gates beside those that are alike for all: so many, and more for each gate.
RANDOM_WAYS, WAYS_PER_GATE, MOST_WAYS = 12, 6, 120
LEAST_SHARE = 0.05
WARM_UP, TIMED = 0.003, 0.006  # seconds of each way in each round
BATCHES = 8
# The share of the calls that are quicker than what counts. On a busy machine the medians of one
# function differed by a factor of 2 within a minute, these times by a twentieth.
QUIET = 0.05


def measure_table(
    model: keras.Model,
    runtime: Runtime,
    batch_size: int,
    shares: Sequence[float],
    threads: int | None,
    rounds: int,
    verbose: int,
) -> LatencyTable:
    """Measure a table, as `LatencyTable.measure` does."""
    checks.one_of("runtime", runtime, get_args(Runtime))
    checks.positive_integer("batch_size", batch_size)
    checks.positive_integer("rounds", rounds)
    if threads is not None:
        checks.positive_integer("threads", threads)
    shares = _checked_shares(shares)
    random = np.random.default_rng(0)
    batches = _batches(model, batch_size, random)
    deployed = DeployedCost(model, runtime)
    if all(gate.top_k is not None for gate in deployed.gates.values()):
        raise ValueError(
            f"Argument `model` must have gates that make it quicker in runtime {runtime!r} and "
            f"open other shares than `top_k` says. Received: model {model.name!r} with the gates "
            f"{sorted(deployed.cost.gates)}"
        )
    ways = _ways(list(deployed.gates), shares, random)
    progress = keras.utils.Progbar(len(ways) * (1 + rounds), verbose=verbose, unit_name="run")
    deployments = []
    for way in ways:
        deployments.append(RUNTIMES[runtime](model, deployed, way, batches[0], random, threads))
        deployments[-1].run(batches[0])
        progress.add(1)
    times = _timed(deployments, batches, rounds, progress)
    return _table(deployed, deployments, shares, times)


def _checked_shares(shares: Any) -> tuple[float, ...]:
    numbers = tuple(shares) if isinstance(shares, (list, tuple)) else ()
    for share in numbers:
        checks.number("shares", share, "above 0 and at most 1", lambda each: 0 < each <= 1)
    if not numbers or numbers[-1] != 1 or sorted(set(numbers)) != list(numbers):
        raise ValueError(
            "Argument `shares` must be a list or tuple of numbers that rise up to 1. "
            f"Received: shares={shares!r}"
        )
    return tuple(map(float, numbers))


def _batches(model: keras.Model, batch_size: int, random: np.random.Generator) -> list[np.ndarray]:
    """Make random batches for a model with one input."""
    inputs = graph.functional(model).inputs
    if len(inputs) != 1:
        raise ValueError(
            "Argument `model` must have one input, for which inputs are made up. "
            f"Received: model {model.name!r} with {len(inputs)} inputs"
        )
    shape, dtype = tuple(inputs[0].shape)[1:], inputs[0].dtype
    if None in shape:
        raise ValueError(
            "Argument `model` must have an input of known sizes, on which its time depends. "
            f"Received: model {model.name!r} with an input of shape {shape}"
        )
    normal = [random.normal(size=(batch_size, *shape)) for _ in range(BATCHES)]
    # Whole numbers stand for something, such as words, of which 0 always is one.
    whole = not keras.backend.is_float_dtype(dtype)
    return [(batch * 0 if whole else batch).astype(dtype) for batch in normal]


def _ways(
    names: Sequence[str], shares: Sequence[float], random: np.random.Generator
) -> list[dict[str, float]]:
    """Choose the share of each gated layer for each way to open a model."""
    alike = [dict.fromkeys(names, share) for share in (LEAST_SHARE, *shares)]
    number = min(RANDOM_WAYS + WAYS_PER_GATE * len(names), MOST_WAYS)
    drawn = random.uniform(LEAST_SHARE, 1.0, size=(number, len(names)))
    return [*alike, *(dict(zip(names, map(float, row), strict=True)) for row in drawn)]


def _timed(
    deployments: Sequence[Deployment],
    batches: Sequence[np.ndarray],
    rounds: int,
    progress: keras.utils.Progbar,
) -> np.ndarray:
    """Give the milliseconds of each deployment in quiet moments; all of them take turns."""
    times: list[list[float]] = [[] for _ in deployments]
    turns = itertools.cycle(batches)
    for _ in range(rounds):
        for deployment, mine in zip(deployments, times, strict=True):
            timed_calls(deployment.run, turns, WARM_UP, 1)
            mine += timed_calls(deployment.run, turns, TIMED, LEAST_CALLS)
            progress.add(1)
    return np.array([1e3 * np.quantile(mine, QUIET) for mine in times])


def _table(
    deployed: DeployedCost,
    deployments: Sequence[Deployment],
    shares: Sequence[float],
    times: np.ndarray,
) -> LatencyTable:
    """Tell what each product takes from the times of whole models."""
    knots = (0.0, *shares)
    terms = [
        Terms(*((1.0,) if side is None else knots for side in (part.inputs, part.outputs)))
        for part in deployed.parts
    ]
    opened = [[part.shares(each.averages) for part in deployed.parts] for each in deployments]
    rest, factors = fit(terms, [part.macs for part in deployed.parts], opened, times)
    products = [
        ProductTimes(part.layer, part.product, *each.knots, each.times(mine))
        for part, each, mine in zip(deployed.parts, terms, factors, strict=True)
    ]
    predicted = [
        rest + sum(float(each.at(*pair)) for each, pair in zip(products, pairs, strict=True))
        for pairs in opened
    ]
    error = float(np.median(np.abs(np.array(predicted) / times - 1.0)))
    return LatencyTable(products, rest, deployed.signatures, deployments[0].setup, error)
