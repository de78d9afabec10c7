"""`MacBudget`: one number, the share of the multiply-accumulates that the model may use."""

from typing import get_args

from keras_dynamicgate.callbacks.budget_callback import BudgetCallback
from keras_dynamicgate.callbacks.range_training import RangeTraining, budgets_in
from keras_dynamicgate.callbacks.steered_cost import Count, SteeredCost
from keras_dynamicgate.callbacks.steered_training import SteeredTraining
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import Inputs


class MacBudget(BudgetCallback):
    """Train a gated model to a budget of relative MACs, gate networks included.

    There is no penalty weight to tune: a controller inside the training step moves the price of
    open gates until the model costs what it may. Its state is saved with the model, so a resumed
    training continues where it stopped. Axes that the model leaves open, such as the length of a
    sequence, count with the size that they have in the first batch.

    With several budgets, one training makes one model for all of them: `set_budget` then sets it to
    any one between the smallest and the largest, without data. Each step trains for one of them,
    for the smallest three times as often. Meanwhile and at the end the model stands at the largest,
    which is what is validated and saved.

    Args:
        target: Float, above 0 and at most 1: (executed + gate MACs) / dense MACs to end with. Or
            several: a tuple `(smallest, largest)` for that range, in steps of at most a factor of
            2, or a list of up to 16 budgets.
        warmup: Float from 0, the share of the training without any pressure. Defaults to 0.1.
        ramp: Float from 0, the share of the training in which the allowance falls from what the
            model costs at the start to `target`; `warmup + ramp` is at most 1. Defaults to 0.4.
        count: Which MACs the budget is for: `"executed"`, what an execution runs that skips all
            that is closed, or `"deliverable"`, what remains with `compact` and the engine or
            `execution="skip"`; gates that save nothing there are not steered. Defaults to
            `"executed"`.

    Raises:
        ValueError: If an argument is out of range, if the model has no gated layers, if it cannot
            be counted, or if the gate networks and floors alone cost more than the budget.
        FloatingPointError: If the loss is no longer finite; it names the layer.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras_dynamicgate.DynamicGateDense(64, activation="relu"),
        ...     keras.layers.Dense(2),
        ... ])
        >>> falling = keras.optimizers.schedules.CosineDecay(0.01, decay_steps=320)
        >>> model.compile(keras.optimizers.Adam(falling), "mse")
        >>> x = np.random.default_rng(0).normal(size=(256, 64))
        >>> budget = keras_dynamicgate.MacBudget(0.5)
        >>> history = model.fit(x, x[:, :2], epochs=40, verbose=0, callbacks=[budget])
        >>> round(keras_dynamicgate.count_macs(model, x).relative, 1)
        0.5
    """

    def __init__(
        self,
        target: float | tuple[float, float] | list[float],
        warmup: float = 0.1,
        ramp: float = 0.4,
        count: Count = "executed",
    ) -> None:
        if isinstance(target, (tuple, list)):
            budgets_in(target)
        else:
            checks.number("target", target, "above 0 and at most 1", lambda t: 0 < t <= 1)
        super().__init__(warmup, ramp)
        checks.one_of("count", count, get_args(Count))
        self.target = target
        self.count = count

    def new_training(self, sample: Inputs) -> SteeredTraining:
        cost = SteeredCost(self.model, sample, self.count)
        if isinstance(self.target, (tuple, list)):
            return RangeTraining(self.model, cost, budgets_in(self.target))
        return SteeredTraining(self.model, cost, self.target)
