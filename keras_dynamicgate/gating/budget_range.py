"""The controller that trains all gates of a model for several budgets at once."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from keras_dynamicgate.gating.budget import (
    PLAN_SIZE,
    BudgetController,
    BudgetPlan,
    Follower,
    Gate,
    Tensor,
    pressure,
    raised,
)
from keras_dynamicgate.gating.openness import Averages
from keras_dynamicgate.gating.price_table import (
    BUDGET,
    GAIN,
    MOST_BUDGETS,
    PRESSURE,
    PRICE,
    TREND,
    UNUSED,
)

# Its multiples, without their whole parts, fall evenly between 0 and 1 however many there are.
GOLDEN_RATIO = 0.6180339887
# How many times as often as the others the smallest budget is drawn.
SMALLEST_DRAWN = 3.0
# Progress, place in the draw, row that is drawn and calls since then.
INITIAL_RANGE_STATE = (0.0, 0.0, 0.0, 0.0)


class RangeController(BudgetController):
    """Trains the gates for one of several budgets in each step, each with a price of its own.

    Every budget has a row in the `PriceTable` of each gate, which is steered as `BudgetController`
    steers its only price, in the steps in which that budget is drawn. The smallest is drawn three
    times as often as the others: what it leaves open all of them use, and it alone has to do with
    so little. The draw is a sequence that falls evenly, so that all replicas draw alike and a
    training resumes where it was. Inference sees the price of the largest budget.

    Args:
        gates: As of `BudgetController`.
        relative_macs: As of `BudgetController`.
        calls: Integer, how often the first gate is called in a step.
    """

    def __init__(
        self, gates: Sequence[Gate], relative_macs: Callable[[Averages], Any], calls: int
    ) -> None:
        super().__init__(gates, relative_macs)
        self._calls = calls

    def step(self, gate: Gate) -> None:
        if gate is not self.gates[0]:
            return
        plan = BudgetPlan(*ops.unstack(ops.convert_to_tensor(gate.budget_plan.weight), PLAN_SIZE))
        state = ops.convert_to_tensor(gate.budget_state)
        progress, place, drawn, calls = ops.unstack(state, len(INITIAL_RANGE_STATE))
        progress = progress + plan.progress_per_step
        tables = ops.stack([each.price_table.weight.value for each in self._steered])
        # A layer that is called several times in a step is trained for one budget in all calls.
        ended = calls + 1.0 >= self._calls
        moved = self._moved(tables, _is_row(drawn), plan, progress)
        tables = ops.where(ended, moved, tables)
        place = ops.where(ended, place + GOLDEN_RATIO, place)
        place = place - ops.floor(place)
        drawn = ops.where(ended, _draw(place, tables[0, :, BUDGET]), drawn)
        calls = ops.where(ended, 0.0, calls + 1.0)
        self._keep(ops.stack([progress, place, drawn, calls]), progress)
        chosen = ops.sum(tables * _is_row(drawn), axis=1)
        for number, each in enumerate(self._steered):
            each.price_table.weight.assign(tables[number])
            each.price.assign(tables[number, 0, PRICE])
            each.pressure.assign(chosen[number, PRESSURE])

    def price(self, gate: Gate) -> Tensor:
        if gate not in self._steered:
            return gate.price
        prices = ops.convert_to_tensor(gate.price_table.weight)[:, PRICE]
        drawn = ops.convert_to_tensor(gate.budget_state)[2]
        return ops.sum(prices * _is_row(drawn)[:, 0])

    def _moved(self, tables: Tensor, is_row: Tensor, plan: BudgetPlan, progress: Tensor) -> Tensor:
        """Give the tables after a step for the budget of one row."""
        started = ops.cast(progress > plan.warmup, "float32")
        measured, marginal = self._costs()
        rows = ops.sum(tables * is_row, axis=1)
        budget, followed = rows[0, BUDGET], rows[0, GAIN : TREND + 1]
        allowed = dataclasses.replace(plan, target=budget).allowance(progress)
        steps = ops.sum(_steps_between_draws(tables[0, :, BUDGET]) * is_row[:, 0])
        follower, rise = Follower(*ops.unstack(followed, 3)).follow(
            ops.log(measured / allowed), started, steps
        )
        prices = raised(rows[:, PRICE], rise)
        same = ops.ones_like(prices)
        columns = [
            budget * same,
            prices,
            pressure(prices) * started * marginal,
            *(each * same for each in follower),
        ]
        rows = ops.expand_dims(ops.stack(columns, axis=-1), 1)
        return ops.where(is_row > 0.0, rows, tables)


def _is_row(number: Tensor) -> Tensor:
    """Give ones in one row of a table and zeros in the others, of shape `(MOST_BUDGETS, 1)`."""
    numbers = ops.arange(MOST_BUDGETS, dtype="float32")
    return ops.expand_dims(ops.cast(ops.equal(numbers, number), "float32"), -1)


def _used(budgets: Tensor) -> Tensor:
    """Count the rows that are used."""
    return ops.sum(ops.cast(ops.not_equal(budgets, UNUSED), "float32"))


def _steps_between_draws(budgets: Tensor) -> Tensor:
    """Give for each row how many steps lie between two draws of it, on average."""
    used = _used(budgets)
    is_smallest = ops.equal(ops.arange(MOST_BUDGETS, dtype="float32"), used - 1.0)
    return (used + SMALLEST_DRAWN - 1.0) / ops.where(is_smallest, SMALLEST_DRAWN, 1.0)


def _draw(place: Tensor, budgets: Tensor) -> Tensor:
    """Give the row for a place from 0 to 1."""
    used = _used(budgets)
    return ops.minimum(ops.floor(place * (used + SMALLEST_DRAWN - 1.0)), used - 1.0)


def drawn_share(number: int, budgets: int) -> float:
    """Give the share of the steps for which a row is drawn."""
    times = SMALLEST_DRAWN if number == budgets - 1 else 1.0
    return times / (budgets + SMALLEST_DRAWN - 1.0)
