"""What the gates of an engine charge at each budget."""

import numpy as np

from keras_dynamicgate.engine.steps import Plan
from keras_dynamicgate.gating.prices import prices_in, trained_budgets

# Budgets whose prices are kept, so that a call finds them at once.
MOST_KEPT = 256


class PriceList:
    """Gives the prices of all gates of a plan at a budget, as an array that nobody changes.

    Args:
        plan: A `steps.Plan`.

    Attributes:
        standing: Float32 array of the prices at which the model stood.
        trained: Tuple of the budgets that the model was trained for, the smallest first.
    """

    def __init__(self, plan: Plan) -> None:
        self.standing = np.asarray(plan.prices, "float32")
        self._tables = dict(enumerate(plan.price_tables))
        self.trained = trained_budgets(plan.price_tables)
        self._kept: dict[float, np.ndarray] = {}

    def at(self, budget: float) -> np.ndarray:
        """Give the prices at a budget.

        Raises:
            ValueError: If the model was not trained for it.
        """
        try:
            return self._kept[budget]
        except (KeyError, TypeError):  # anything that is no number is refused below
            pass
        prices = self.standing.copy()
        for index, price in prices_in(self._tables, budget).items():
            prices[index] = price
        if len(self._kept) >= MOST_KEPT:
            self._kept = {}
        self._kept[budget] = prices
        return prices
