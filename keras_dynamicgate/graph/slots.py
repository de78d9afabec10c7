"""Which variables of an optimizer belong to which variable that it trains."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras


class Slot(NamedTuple):
    """A variable that an optimizer keeps for one that it trains.

    Attributes:
        place: Integer, its place in `optimizer.variables`.
        of: Integer, the place of the trained variable among those that the optimizer trains.
        is_average: Whether it is the moving average of the weight itself, as of `use_ema=True`.
    """

    place: int
    of: int
    is_average: bool


def slots(double: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]) -> list[Slot]:
    """Match the slots of an optimizer, such as momentums, with the variables that it trains.

    A slot has the shape of its variable and is changed number by number with it. Counters and
    averages over rows or columns are none.

    Args:
        double: A Keras optimizer of the same config that is not built yet, and of no other use.
        variables: The variables that the optimizer trains.

    Returns:
        List of `Slot`.
    """
    # Optimizers do not say what their variables are for, but ask for them in the same order
    # whenever they are built.
    indices = {id(variable): index for index, variable in enumerate(variables)}
    owners: dict[int, tuple[int, bool]] = {}

    def note(asked: keras.optimizers.Optimizer) -> None:
        add = asked.add_variable_from_reference

        def add_and_note(reference_variable: Any, name: Any = None, **kwargs: Any) -> Any:
            slot = add(reference_variable, name, **kwargs)
            owners[id(slot)] = indices[id(reference_variable)], name == "average"
            return slot

        asked.add_variable_from_reference = add_and_note

    asked: Any = double
    while asked is not None:
        note(asked)
        asked = getattr(asked, "inner_optimizer", None)
    double.build(list(variables))
    return [
        Slot(index, *owners[id(slot)])
        for index, slot in enumerate(double.variables)
        if id(slot) in owners
    ]


def trained(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """List the variables that an optimizer was built for, in their order."""
    return list(optimizer._trainable_variables)
