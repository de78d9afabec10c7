"""The prices at which a model meets a budget on data."""

from collections.abc import Callable, Sequence

import keras
from keras import ops

from keras_dynamicgate.gating.prices import set_prices
from keras_dynamicgate.gating.record import record_batches
from keras_dynamicgate.layers.gated_layer import GatedLayer
from keras_dynamicgate.macs.model_cost import model_cost
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import Inputs

# No price and no logit is as large, so that it opens or closes all that it may.
FARTHEST = 128.0
HALVINGS = 20


def calibrate(
    model: keras.Model, layers: Sequence[GatedLayer], budget: float, x: Inputs, batch_size: int
) -> None:
    """Make all gates of a model dearer or cheaper alike until it meets a budget on data.

    Args:
        model: A built Keras model.
        layers: List of its gated layers.
        budget: Float, the relative MACs.
        x: Inputs as for `model.predict`.
        batch_size: Integer, the number of samples that run at once.

    Raises:
        ValueError: If a gate has a `top_k`, or no price leads to the budget.
    """
    ranked = [layer.name for layer in layers if layer.gate.top_k is not None]
    if ranked:
        raise ValueError(
            "Gates with `top_k` open a fixed share whatever they charge, so no budget can be set. "
            f"Received: model {model.name!r} with `top_k` in {ranked}"
        )
    before = {layer.gate: float(ops.convert_to_numpy(layer.gate.price)) for layer in layers}
    measure = _measure(model, x, batch_size)

    def relative_macs(rise: float) -> float:
        set_prices({gate: price + rise for gate, price in before.items()})
        return measure()

    try:
        rise = _rise(relative_macs, budget)
    except BaseException:
        set_prices(before)
        raise
    set_prices({gate: price + rise for gate, price in before.items()})


def _rise(relative_macs: Callable[[float], float], budget: float) -> float:
    """Find, by bisection, the smallest rise of prices at which a model costs at most a budget."""
    # Sums in float32 differ in their last digits.
    low, high = relative_macs(FARTHEST) - 1e-6, relative_macs(-FARTHEST) + 1e-6
    allowed = f"from {low:.3f} to {high:.3f}, what the model costs with its gates closed and open"
    checks.number("budget", budget, allowed, lambda each: low <= each <= high)
    open_at, closed_at = -FARTHEST, FARTHEST
    for _ in range(HALVINGS):
        middle = (open_at + closed_at) / 2
        if relative_macs(middle) <= budget:
            closed_at = middle
        else:
            open_at = middle
    return closed_at


def _measure(model: keras.Model, x: Inputs, batch_size: int) -> Callable[[], float]:
    """Make a function that gives the relative MACs of a model on data, as `count_macs` does."""
    cost = model_cost(model, x)
    products, dense = cost.all_products(), max(cost.dense(), 1)

    def measure() -> float:
        executed, samples = 0.0, 0
        for rows, record in record_batches(model, x, batch_size):
            masks = record.masks()
            executed += sum(each.executed(masks) for each in products) * (rows.stop - rows.start)
            samples = rows.stop
        return executed / samples / dense

    return measure
