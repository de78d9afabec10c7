"""`set_budget` and `budgets`: one trained model at any budget of a range."""

import keras

from keras_dynamicgate.elastic.calibration import calibrate
from keras_dynamicgate.gating.prices import prices_at, set_prices, trained_budgets
from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import Inputs


def budgets(model: keras.Model) -> tuple[float, ...]:
    """List the budgets that a model was trained for together, the smallest first.

    Args:
        model: A built Keras model.

    Returns:
        Tuple of floats, relative MACs; empty if the model was not trained for several budgets.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras_dynamicgate.DynamicGateDense(64, activation="relu"),
        ...     keras.layers.Dense(2),
        ... ])
        >>> keras_dynamicgate.budgets(model)
        ()
    """
    return trained_budgets(layer.gate.price_table.rows() for layer in gated_layers(model))


def set_budget(model: keras.Model, budget: float, x: Inputs = None, batch_size: int = 256) -> None:
    """Set a trained model to another budget, without training.

    A model that was trained with `MacBudget` for several budgets goes to any one between the
    smallest and the largest, by weights of its gates alone: nothing is compiled and no data is
    needed. What it was trained for is met exactly as it was trained; between two of them the prices
    of gates are interpolated, so that a smaller budget never opens a gate. Files keep the budget
    that is set, as any weight.

    With data, all gates become dearer or cheaper alike until the model costs what it may on these
    samples. That works for every gated model, whatever it was trained for; what it costs in
    accuracy is not known until you measure it.

    `count_macs(model)` without data goes on to show what the gates did in the last training batch.

    Args:
        model: A built Keras model with gated layers. It is changed.
        budget: Float, the relative MACs: (executed + gate MACs) / dense MACs.
        x: Inputs as for `model.predict` on which to meet the budget, some hundred samples. Defaults
            to `None`: by what the model was trained for.
        batch_size: Integer, the number of samples of `x` that run at once. Defaults to 256.

    Raises:
        ValueError: If the model has no gated layers, if `budget` is out of its reach, which is
            named, if it was not trained for several budgets and there is no `x`, or if there is and
            the model has gates with `top_k`.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras_dynamicgate.DynamicGate("linear", block_size=8),
        ...     keras.layers.Dense(64),
        ... ])
        >>> x = np.random.default_rng(0).normal(size=(256, 64))
        >>> keras_dynamicgate.set_budget(model, 0.5, x)
        >>> round(keras_dynamicgate.count_macs(model, x).relative, 2)
        0.5
    """
    checks.positive_integer("batch_size", batch_size)
    layers = gated_layers(model)
    if not layers:
        raise ValueError(
            f"Model {model.name!r} has no gates, so its cost is fixed. Give it gates with "
            f"`keras_dynamicgate.gate_model(model)`. Received: budget={budget!r}"
        )
    if x is None:
        set_prices(prices_at([layer.gate for layer in layers], budget))
    else:
        calibrate(model, layers, budget, x, batch_size)
