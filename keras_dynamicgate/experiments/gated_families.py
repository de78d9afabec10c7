"""The families of gated networks: static gates, and gates that decide by the input."""

from typing import Any

import keras

from keras_dynamicgate.callbacks.mac_budget import MacBudget
from keras_dynamicgate.datasets import Dataset
from keras_dynamicgate.experiments.contender import Contender
from keras_dynamicgate.experiments.networks import LayerBuilder, dense_macs, network, widths
from keras_dynamicgate.experiments.tasks import Task
from keras_dynamicgate.layers.dynamic_gate import DynamicGate
from keras_dynamicgate.layers.dynamic_gate_dense import DynamicGateDense

BALANCE = 0.1
Target = float | list[float]


def static(task: Task, dataset: Dataset, target: Target, width: int = 1) -> Contender:
    """Build a network whose units are open or closed for all inputs alike."""

    # Static gates cost nothing, so each unit has its own.
    def layer(units: int, name: str) -> keras.layers.Layer:
        return DynamicGateDense(units, activation="relu", gate="static", block_size=1, name=name)

    return gated(task, dataset, target, layer, width)


def dynamic(task: Task, dataset: Dataset, target: Target) -> Contender:
    """Build a network whose gates decide by the input."""

    def layer(units: int, name: str) -> keras.layers.Layer:
        return DynamicGateDense(units, activation="relu", name=name)

    return gated(task, dataset, target, layer)


def balanced(task: Task, dataset: Dataset, target: Target, width: int = 1) -> Contender:
    """Build a network whose gates decide by the input and are each open for some of them."""

    def layer(units: int, name: str) -> keras.layers.Layer:
        return DynamicGateDense(units, activation="relu", balance=BALANCE, name=name)

    return gated(task, dataset, target, layer, width)


def gated(
    task: Task, dataset: Dataset, target: Target, layer: LayerBuilder, width: int = 1
) -> Contender:
    """Build a network with static gates on its inputs and gated hidden layers.

    Args:
        task: The `Task`.
        dataset: The `Dataset`.
        target: Float, the budget, or a list of budgets to train one model for. Relative to the full
            network of the task, whatever the width.
        layer: Function `layer(units, name)` that returns a hidden layer.
        width: Integer, how many times as wide as the full network the hidden layers are.
    """
    hidden = widths(task, width)
    gate = DynamicGate(block_size=task.input_block, name="features")
    model = network(task, dataset, layer, dropout=task.dropout, gate=gate, hidden=hidden)
    settings: dict[str, Any] = {"dropout": task.dropout}
    if width > 1:
        settings["widths"] = hidden
    if isinstance(target, list):
        settings["budgets"] = target
    share = dense_macs(task, dataset, task.hidden) / dense_macs(task, dataset, hidden)
    budget = [each * share for each in target] if isinstance(target, list) else target * share
    return Contender(model, [MacBudget(budget)], settings)
