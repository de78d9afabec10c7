"""What gates charge at a budget that their model was trained for, or between two of them."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from keras import ops

from keras_dynamicgate.gating.price_table import BUDGET, PRICE
from keras_dynamicgate.utils import checks

Gate = Any  # `gate.py` is imported by those who have gates


def trained_budgets(gates: Iterable[Gate]) -> tuple[float, ...]:
    """Give the budgets that gates have prices for, the smallest first; none for other gates."""
    for gate in gates:
        budgets = gate.price_table.rows()[::-1, BUDGET]
        if len(budgets):
            return tuple(float(str(each)) for each in budgets)  # .3, not .30000001192...
    return ()


def prices_at(gates: Iterable[Gate], budget: float, argument: str = "budget") -> dict[Gate, float]:
    """Give the price of each steered gate at a budget.

    Between trained budgets the price is linear in the logarithm of the budget. It never falls as
    the budget does, so that a smaller budget leaves no gate open that a larger one closes.

    Args:
        gates: The `Gate` layers of a model.
        budget: Float, the relative MACs.
        argument: Name of the caller's argument, for the error. Defaults to `"budget"`.

    Returns:
        Dict from `Gate` to its price.

    Raises:
        ValueError: If the gates were not trained for several budgets, or not for one as small or
            as large.
    """
    gates = list(gates)
    trained = trained_budgets(gates)
    if not trained:
        raise ValueError(
            f"Argument `{argument}` needs a model that was trained for several budgets, as "
            "`MacBudget((0.05, 0.5))` does. `keras_dynamicgate.set_budget(model, budget, x)` sets "
            f"any gated model to a budget on data. Received: {argument}={budget!r}"
        )
    low, high = trained[0], trained[-1]
    allowed = f"from {low:g} to {high:g}, the budgets that the model was trained for"
    checks.number(argument, budget, allowed, lambda each: low <= each <= high)
    tables = {gate: gate.price_table.rows() for gate in gates}
    return {gate: _price(rows, budget) for gate, rows in tables.items() if len(rows)}


@contextlib.contextmanager
def standing_at(gates: Iterable[Gate], budget: float, argument: str = "budget") -> Iterator[None]:
    """Set gates to a budget inside the `with` block and back to their own prices behind it."""
    prices = prices_at(gates, budget, argument)
    before = {gate: ops.convert_to_numpy(gate.price).copy() for gate in prices}
    set_prices(prices)
    try:
        yield
    finally:
        set_prices(before)


def set_prices(prices: dict[Gate, Any]) -> None:
    """Set the prices of gates."""
    for gate, price in prices.items():
        gate.price.assign(price)


def _price(rows: np.ndarray, budget: float) -> float:
    """Give the price for a budget from the rows of a table, the largest budget first."""
    prices = np.maximum.accumulate(rows[:, PRICE])
    # As the table holds it, so that trained budgets are met exactly.
    at = np.log(np.float32(budget))
    return float(np.interp(at, np.log(rows[::-1, BUDGET]), prices[::-1]))
