"""The families of models to compare: how each spends a budget of relative MACs."""

import dataclasses
import functools
import math
from collections.abc import Callable

import keras

from keras_dynamicgate import baselines
from keras_dynamicgate.datasets import Dataset
from keras_dynamicgate.experiments import gated_families
from keras_dynamicgate.experiments.contender import Contender
from keras_dynamicgate.experiments.networks import (
    chain_macs,
    dense_layer,
    dense_macs,
    feature_count,
    network,
    prepared_inputs,
    widths,
)
from keras_dynamicgate.experiments.tasks import Task
from keras_dynamicgate.layers.dynamic_gate_dense import DynamicGateDense

EXPERTS = 8
CHOSEN_EXPERTS = 2
REWIRINGS = 50
DISTILLED = "_distilled"


@dataclasses.dataclass(frozen=True)
class Family:
    """A way to build models.

    Attributes:
        build: Function `build(task, dataset, target)` that returns a `Contender`.
        budgeted: Whether it has a model for each target; otherwise there is one model.
        elastic: Whether one model is trained for all targets, which `build` then gets as a list.
    """

    build: Callable[..., Contender]
    budgeted: bool = True
    elastic: bool = False


def _linear(task: Task, dataset: Dataset, target: float | None) -> Contender:
    inputs, x = prepared_inputs(task, dataset)
    outputs = keras.layers.Dense(dataset.num_classes, name="classes")(x)
    return Contender(keras.Model(inputs, outputs))


def _dense(task: Task, dataset: Dataset, target: float | None) -> Contender:
    return Contender(network(task, dataset, dense_layer, dropout=0.0), settings={"dropout": 0.0})


def _dropout(task: Task, dataset: Dataset, target: float | None) -> Contender:
    model = network(task, dataset, dense_layer, dropout=task.dropout)
    return Contender(model, settings={"dropout": task.dropout})


def _narrow(task: Task, dataset: Dataset, target: float) -> Contender:
    macs = target * dense_macs(task, dataset, task.hidden)
    factor = _closest(lambda factor: dense_macs(task, dataset, widths(task, factor)), macs)
    hidden = widths(task, factor)
    # Narrow networks need less dropout.
    dropout = round(task.dropout * factor, 3)
    model = network(task, dataset, dense_layer, dropout=dropout, hidden=hidden)
    return Contender(model, settings={"widths": hidden, "dropout": dropout})


def _pruned(task: Task, dataset: Dataset, target: float) -> Contender:
    def layer(units: int, name: str) -> keras.layers.Layer:
        return baselines.MagnitudePrunedDense(units, activation="relu", name=name)

    sparsity = _sparsity(task, dataset, target)
    interval = _interval(task, dataset)
    callback = baselines.MagnitudePruning(sparsity, interval=interval, scope="global")
    model = network(task, dataset, layer, dropout=task.dropout)
    return Contender(model, [callback], {"dropout": task.dropout, "sparsity": round(sparsity, 4)})


def _rigl(task: Task, dataset: Dataset, target: float) -> Contender:
    sparsity = _sparsity(task, dataset, target)

    def layer(units: int, name: str) -> keras.layers.Layer:
        return baselines.RigLDense(units, activation="relu", sparsity=sparsity, name=name)

    model = network(task, dataset, layer, dropout=task.dropout)
    settings = {"dropout": task.dropout, "sparsity": round(sparsity, 4)}
    return Contender(model, [_rewiring(task, dataset)], settings)


def _dynamic_rigl(task: Task, dataset: Dataset, target: float) -> Contender:
    # Sparse weights and gates save the same factor each.
    sparsity = 1.0 - math.sqrt(target)

    def layer(units: int, name: str) -> keras.layers.Layer:
        dense = baselines.RigLDense(units, activation="relu", sparsity=sparsity)
        return DynamicGateDense(units, dense=dense, name=name)

    contender = gated_families.gated(task, dataset, target, layer)
    contender.callbacks.append(_rewiring(task, dataset))
    contender.settings["sparsity"] = round(sparsity, 3)
    return contender


def _rewiring(task: Task, dataset: Dataset) -> baselines.RigLUpdate:
    return baselines.RigLUpdate(interval=_interval(task, dataset))


def _interval(task: Task, dataset: Dataset) -> int:
    """Spread `REWIRINGS` evenly over the training, however short it is."""
    return max(1, task.recipe.steps(len(dataset.train)) // REWIRINGS)


def _sparsity(task: Task, dataset: Dataset, target: float) -> float:
    """Return the share of the hidden layers' weights to leave out; the head stays dense."""
    total = dense_macs(task, dataset, task.hidden)
    head = task.hidden[-1] * dataset.num_classes
    return 1.0 - (target * total - head) / (total - head)


def _switch_moe(task: Task, dataset: Dataset, target: float) -> Contender:
    def mixture(experts: int, hidden: int, units: int) -> keras.layers.Layer:
        return baselines.SwitchMoE(experts, hidden, units, top_k=CHOSEN_EXPERTS, name="experts")

    return _mixture(task, dataset, target, mixture, CHOSEN_EXPERTS)


def _soft_moe(task: Task, dataset: Dataset, target: float) -> Contender:
    def mixture(experts: int, hidden: int, units: int) -> keras.layers.Layer:
        return baselines.SoftMoE(experts, hidden, units, name="experts")

    return _mixture(task, dataset, target, mixture, EXPERTS)


def _mixture(
    task: Task,
    dataset: Dataset,
    target: float,
    mixture: Callable[[int, int, int], keras.layers.Layer],
    running: int,
) -> Contender:
    """Put experts in place of the first two layers; `running` of them run for each sample.

    The widths are chosen so that what runs, including the router, costs the target.
    """
    budget = target * dense_macs(task, dataset, task.hidden)
    features = feature_count(dataset)

    def sizes(factor: float) -> tuple[int, tuple[int, ...]]:
        hidden, *rest = widths(task, factor)
        return hidden, (*rest, dataset.num_classes)

    def macs(factor: float) -> int:
        hidden, rest = sizes(factor)
        expert = chain_macs((features, hidden, rest[0]))
        return features * EXPERTS + running * expert + chain_macs(rest)

    hidden, (units, *rest) = sizes(_closest(macs, budget))
    inputs, x = prepared_inputs(task, dataset)
    x = mixture(EXPERTS, hidden, units)(x)
    for number, following in enumerate(rest, start=2):
        x = keras.layers.Activation("relu")(x)
        x = keras.layers.Dense(following, name=f"dense{number}")(x)
    settings = {"experts": EXPERTS, "running": running, "expert width": hidden}
    return Contender(keras.Model(inputs, x), settings=settings)


def _closest(macs_of: Callable[[float], float], macs: float, steps: int = 40) -> float:
    """Find, by bisection, the factor from 0 to 1 at which a network costs closest to `macs`."""
    low, high = 0.0, 1.0
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if macs_of(middle) <= macs else (low, middle)
    return min(low, high, key=lambda factor: abs(macs_of(factor) - macs))


FAMILIES = {
    "linear": Family(_linear, budgeted=False),
    "dense": Family(_dense, budgeted=False),
    "dropout": Family(_dropout, budgeted=False),
    "narrow": Family(_narrow),
    "pruned": Family(_pruned),
    "rigl": Family(_rigl),
    "switch_moe": Family(_switch_moe),
    "soft_moe": Family(_soft_moe),
    "static": Family(gated_families.static),
    "static_wide": Family(functools.partial(gated_families.static, width=2)),
    "dynamic": Family(gated_families.dynamic),
    "dynamic_balanced": Family(gated_families.balanced),
    "dynamic_wide": Family(functools.partial(gated_families.balanced, width=2)),
    "dynamic_wider": Family(functools.partial(gated_families.balanced, width=4)),
    "dynamic_rigl": Family(_dynamic_rigl),
    "elastic_static": Family(gated_families.static, elastic=True),
    "elastic_dynamic": Family(gated_families.dynamic, elastic=True),
}


def split_name(name: str) -> tuple[str, bool]:
    """Split the name of a model into its family and whether it is distilled."""
    return name.removesuffix(DISTILLED), name.endswith(DISTILLED)


def place(name: str) -> tuple[int, bool]:
    """Return the key that sorts models: families as listed, each before its distilled form."""
    family, distilled = split_name(name)
    return list(FAMILIES).index(family), distilled
