"""A model as it will be deployed, with its gates open as far as is asked."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.compaction.compact import compact
from keras_dynamicgate.engine.engine import InferenceEngine
from keras_dynamicgate.engine.forced_shares import force_shares
from keras_dynamicgate.engine.plan import make_plan
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.masks import fewest_open
from keras_dynamicgate.latency.backend_function import runner
from keras_dynamicgate.latency.deployed_cost import DeployedCost
from keras_dynamicgate.latency.setup import Setup
from keras_dynamicgate.latency.timing import Run

# A logit that no price and no threshold closes, or opens.
FAR = 1e4


class Deployment(NamedTuple):
    """A model that is ready to run.

    Attributes:
        run: Function of a batch.
        averages: Dict from each gate to the openness of its gates, of shape `(gates,)`.
        setup: Where and how it runs.
    """

    run: Run
    averages: dict[Gate, np.ndarray]
    setup: Setup


# From a model, its cost, the share of each gated layer, inputs, a random generator and a number of
# threads to the deployment.
Deploy = Callable[
    [keras.Model, DeployedCost, dict[str, float], np.ndarray, np.random.Generator, int | None],
    Deployment,
]


def deploy_compacted(
    model: keras.Model,
    deployed: DeployedCost,
    shares: dict[str, float],
    x: np.ndarray,
    random: np.random.Generator,
    threads: int | None,
) -> Deployment:
    """Compact a model with random units open, and make it a function of Keras's backend."""
    with _static_gates_open(deployed, shares, random) as averages:
        run = runner(compact(model))
    return Deployment(run, averages, Setup.here("compact", len(x)))


def deploy_engine(
    model: keras.Model,
    deployed: DeployedCost,
    shares: dict[str, float],
    x: np.ndarray,
    random: np.random.Generator,
    threads: int | None,
) -> Deployment:
    """Load a model into the engine, with random masks that leave its shares open."""
    with _static_gates_open(deployed, shares, random) as averages:
        plan = make_plan(model)
    by_layer = {name.split("/")[-1]: share for name, share in shares.items()}
    opened = force_shares(plan, by_layer, random.normal(size=(64, *x.shape[1:])), random)
    for name, gate in deployed.cost.gates.items():
        if gate.input_dependent:
            averages[gate] = np.full(gate.gates, opened[name.split("/")[-1]], "float32")
    engine = InferenceEngine.of_plan(plan, threads)
    backend = "numba" if engine.compiled else "numpy"
    setup = Setup.here("engine", len(x), backend, engine.threads)
    return Deployment(engine.predict, averages, setup)


RUNTIMES: dict[str, Deploy] = {"compact": deploy_compacted, "engine": deploy_engine}


@contextlib.contextmanager
def _static_gates_open(
    deployed: DeployedCost, shares: dict[str, float], random: np.random.Generator
) -> Iterator[dict[Gate, Any]]:
    """Open shares of static gates inside the `with` block; give the openness of all gates."""
    static = {name: gate for name, gate in deployed.gates.items() if not gate.input_dependent}
    before = {gate: ops.convert_to_numpy(_logits(gate)).copy() for gate in static.values()}
    try:
        for name, gate in static.items():
            if gate.top_k is None:
                least = max(1, fewest_open(gate.min_open, gate.gates))
                count = max(least, round(shares[name] * gate.gates))
                logits = np.full(gate.gates, -FAR, "float32")
                logits[random.permutation(gate.gates)[:count]] = FAR
                _logits(gate).assign(logits)
        yield {
            **deployed.all_open(),
            **{gate: gate.static_mask().astype("float32") for gate in static.values()},
        }
    finally:
        for gate, logits in before.items():
            _logits(gate).assign(logits)


def _logits(gate: Gate) -> keras.Variable:
    """Give the weight that holds the logits of a static gate."""
    logits = gate.network.scaled_bias
    if logits is None:
        raise ValueError(
            "Argument `model` must have static gates whose logits are the bias of their network, "
            f"as `StaticGate` has it. Received: a {type(gate.network).__name__} without a bias"
        )
    return logits
