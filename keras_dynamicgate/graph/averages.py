"""Weights that the moving averages of an optimizer leave out."""

from collections.abc import Iterable
from typing import Any

import keras

UPDATE = "_update_model_variables_moving_average"


def average_without(
    optimizer: keras.optimizers.Optimizer, variables: Iterable[keras.Variable]
) -> None:
    """Take variables out of the moving averages that an optimizer keeps with `use_ema=True`.

    Their averages equal their values after every step, so that nothing changes where averages take
    the place of weights. Keras can average all variables or none.

    Args:
        optimizer: The optimizer of a compiled model.
        variables: Variables that it trains.
    """
    variables = list(variables)
    for averaging in _averaging(optimizer):
        _follow(averaging, {averaging._var_key(variable) for variable in variables})


def average_all(optimizer: keras.optimizers.Optimizer) -> None:
    """Undo `average_without`."""
    for averaging in _averaging(optimizer):
        vars(averaging).pop(UPDATE, None)


def _averaging(optimizer: Any) -> list[Any]:
    """List the optimizers that keep averages, inside wrappers such as `LossScaleOptimizer`."""
    inside = [*getattr(optimizer, "optimizers", ()), getattr(optimizer, "inner_optimizer", None)]
    found = [each for inner in inside if inner is not None for each in _averaging(inner)]
    return [*found, optimizer] if getattr(optimizer, "use_ema", False) else found


def _follow(optimizer: Any, keys: set[Any]) -> None:
    update_all = getattr(optimizer, UPDATE)

    def update(trainable_variables: Iterable[keras.Variable]) -> None:
        trainable_variables = list(trainable_variables)
        update_all(trainable_variables)
        averages = optimizer._model_variables_moving_average
        for variable, average in zip(trainable_variables, averages, strict=True):
            if optimizer._var_key(variable) in keys:
                average.assign(variable)

    setattr(optimizer, UPDATE, update)
