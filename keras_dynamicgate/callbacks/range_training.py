"""One training of a model for several budgets, from its first step to its end."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.callbacks.steered_training import Steerable, SteeredTraining
from keras_dynamicgate.gating.budget import LARGEST_GAIN, BudgetController
from keras_dynamicgate.gating.budget_range import INITIAL_RANGE_STATE, RangeController, drawn_share
from keras_dynamicgate.gating.price_table import BUDGET, COLUMNS, GAIN, MOST_BUDGETS, PRICE, TREND
from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.utils import checks

LARGEST_STEP = 2.0


def budgets_in(target: tuple[float, ...] | list[float]) -> list[float]:
    """Give the budgets to train for, the largest first.

    Args:
        target: A tuple `(smallest, largest)`, which is filled in steps of a factor of at most
            `LARGEST_STEP`, or a list of budgets.

    Raises:
        ValueError: If there are fewer than 2 or more than `MOST_BUDGETS`, or if one is no number
            above 0 and at most 1, stands twice or, in a tuple, in the wrong order.
    """
    for each in target:
        checks.number("target", each, "above 0 and at most 1", lambda t: 0 < t <= 1)
    if isinstance(target, list):
        if not 2 <= len(set(target)) == len(target) <= MOST_BUDGETS:
            raise ValueError(
                f"Argument `target` must be a list of 2 to {MOST_BUDGETS} different budgets. "
                f"Received: target={target!r}"
            )
        return sorted(map(float, target), reverse=True)
    if len(target) != 2 or not target[0] < target[1]:
        raise ValueError(
            "Argument `target` must be a tuple `(smallest, largest)`, or a list for other numbers "
            f"of budgets. Received: target={target!r}"
        )
    smallest, largest = target
    steps = math.ceil(math.log(largest / smallest, LARGEST_STEP) - 1e-9)
    if steps >= MOST_BUDGETS:
        raise ValueError(
            f"Argument `target` must be a range of up to {MOST_BUDGETS} budgets, each at most "
            f"{LARGEST_STEP:g} times the next. Received: target={target!r}"
        )
    return [float(each) for each in np.geomspace(largest, smallest, steps + 1)]


class RangeTraining(SteeredTraining):
    """Puts a `RangeController` into the gates of a model and takes it out again.

    Args:
        model: As of `SteeredTraining`.
        cost: As of `SteeredTraining`.
        targets: List of floats, the relative costs to end with, the largest first.

    Raises:
        ValueError: As `SteeredTraining`, and if gates have a `balance`.
    """

    def __init__(self, model: keras.Model, cost: Steerable, targets: Sequence[float]) -> None:
        self.targets = targets
        super().__init__(model, cost, min(targets))
        balanced = [layer.name for layer in gated_layers(model) if layer.gate.logit_balance]
        if balanced:
            # An engine for all budgets subtracts one price a gate, which balance does not let it.
            raise ValueError(
                "Argument `target` must be one number where gates have a `balance`. "
                f"Received: target={targets!r}, with balanced gates in {', '.join(balanced)}"
            )

    def begin(
        self, epoch: int, epochs: int, steps_left: int, *, warmup: float, ramp: float
    ) -> None:
        if epoch == 0 and self._are_trained():
            # Do not open a model again that an earlier training has brought to its budgets.
            warmup = ramp = 0.0
        super().begin(epoch, epochs, steps_left, warmup=warmup, ramp=ramp)

    def reached(self) -> dict[float, float]:
        progress = self._state()[0]
        rows = self._steered[0].price_table.rows()
        found = {}
        for number, target in enumerate(self.targets):
            plan = dataclasses.replace(self._plan, target=target)
            share = drawn_share(number, len(self.targets))
            trend = float(rows[number, TREND])
            found[target] = self._followed(plan, progress, trend, self._calls(), share)
            self._stand_at(number)
            found[target] += self._cost.overlooked()
        self._stand_at(0)
        return found

    def _stand_at(self, number: int) -> None:
        for gate in self._steered:
            gate.price.assign(gate.price_table.rows()[number, PRICE])

    def _are_trained(self) -> bool:
        """Tell whether the gates have prices for these very budgets."""
        wanted = np.asarray(self.targets, "float32")
        rows = [gate.price_table.rows() for gate in self._steered]
        return all(np.array_equal(each[:, BUDGET], wanted) for each in rows)

    def _prepare(self) -> None:
        if self._are_trained():
            return
        for gate in self._gates:
            gate.price_table.set_rows(())
            gate.budget_state.assign(INITIAL_RANGE_STATE)
        for gate in self._steered:
            rows = np.zeros((len(self.targets), COLUMNS), "float32")
            rows[:, BUDGET] = self.targets
            rows[:, PRICE] = ops.convert_to_numpy(gate.price)
            rows[:, GAIN] = LARGEST_GAIN
            gate.price_table.set_rows(rows)

    def _largest(self) -> float:
        return max(self.targets)

    def _new_controller(self) -> BudgetController:
        return RangeController(self._gates, self._cost.relative, self._calls())

    def _calls(self) -> int:
        return self._cost.calls(self._gates[0])

    def _kind_of_step(self) -> tuple[Any, ...]:
        return "range", *super()._kind_of_step()
