"""What gates charge at a budget that their model was trained for, or between two of them."""

import contextlib
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from keras import ops

from keras_dynamicgate.gating.price_table import BUDGET, PRICE
from keras_dynamicgate.utils import checks

Gate = Any  # `gate.py` is imported by those who have gates
Key = TypeVar("Key", bound=Hashable)


def trained_budgets(tables: Iterable[np.ndarray]) -> tuple[float, ...]:
    """Give the budgets that price tables are for, the smallest first; none if all are empty."""
    for rows in tables:
        if len(rows):
            return tuple(float(str(each)) for each in rows[::-1, BUDGET])  # .3, not .3000000119
    return ()


def prices_at(gates: Iterable[Gate], budget: float) -> dict[Gate, float]:
    """Give the price of each steered gate of a model at a budget, as `prices_in` does."""
    return prices_in({gate: gate.price_table.rows() for gate in gates}, budget)


def prices_in(tables: Mapping[Key, np.ndarray], budget: float) -> dict[Key, float]:
    """Give the price at a budget from each table that has any.

    Between trained budgets the price is linear in the logarithm of the budget. It never falls as
    the budget does, so that a smaller budget leaves no gate open that a larger one closes.

    Args:
        tables: Dict from each gate of a model, or what stands for it, to the rows of its
            `PriceTable`.
        budget: Float, the relative MACs.

    Returns:
        Dict from those gates that were trained for several budgets to their prices.

    Raises:
        ValueError: If the gates were not trained for several budgets, or not for one as small or
            as large.
    """
    trained = trained_budgets(tables.values())
    if not trained:
        raise ValueError(
            "Argument `budget` needs a model that was trained for several budgets, as "
            "`MacBudget((0.05, 0.5))` does. `keras_dynamicgate.set_budget(model, budget, x)` sets "
            f"any gated model to a budget on data. Received: budget={budget!r}"
        )
    low, high = trained[0], trained[-1]
    allowed = f"from {low:g} to {high:g}, the budgets that the model was trained for"
    low, high = float(np.float32(low)), float(np.float32(high))  # as tables hold them
    checks.number("budget", budget, allowed, lambda each: low <= float(np.float32(each)) <= high)
    return {gate: _price(rows, budget) for gate, rows in tables.items() if len(rows)}


@contextlib.contextmanager
def standing_at(gates: Iterable[Gate], budget: float) -> Iterator[None]:
    """Set gates to a budget inside the `with` block and back to their own prices behind it."""
    prices = prices_at(gates, budget)
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
