"""The prices of one gate for several budgets."""

from typing import Any

import keras
import numpy as np
from keras import ops

# One compiled step and one weight serve any number of budgets up to this one.
MOST_BUDGETS = 16
# What a row holds. Files keep it, so it is only ever added to.
BUDGET, PRICE, PRESSURE, GAIN, DRIFT, TREND = range(6)
COLUMNS = 6
UNUSED = -1.0  # the budget in rows without one


class PriceTable(keras.layers.Layer):
    """Holds what a gate was trained to charge for each of several budgets.

    Rows come in the order of the budgets, the largest first. Files hold those that are used: a
    model that was not trained for several budgets leaves nothing in a file, and reads nothing.

    Attributes:
        weight: Float32 weight of shape `(MOST_BUDGETS, COLUMNS)`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)

    def build(self, input_shape: Any = None) -> None:
        self.weight = self.add_weight(
            name="weight",
            shape=(MOST_BUDGETS, COLUMNS),
            initializer=keras.initializers.Constant(UNUSED),
            trainable=False,
            autocast=False,
        )

    def rows(self) -> np.ndarray:
        """Give the rows that are used, as an array of shape `(budgets, COLUMNS)`."""
        table = ops.convert_to_numpy(self.weight)
        used: np.ndarray = table[table[:, BUDGET] != UNUSED]
        return used

    def set_rows(self, rows: Any) -> None:
        """Set the rows that are used, an array of shape `(budgets, COLUMNS)`."""
        table = np.full((MOST_BUDGETS, COLUMNS), UNUSED, "float32")
        table[: len(rows)] = np.reshape(rows, (-1, COLUMNS))
        self.weight.assign(table)

    def save_own_variables(self, store: Any) -> None:
        rows = self.rows()
        if len(rows):
            store["rows"] = rows

    def load_own_variables(self, store: Any) -> None:
        self.set_rows(store["rows"][:] if "rows" in store else ())
