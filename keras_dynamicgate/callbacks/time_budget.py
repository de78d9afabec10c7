"""`TimeBudget`: one number, the share of the full network's time that the model may take."""

from keras_dynamicgate.callbacks.budget_callback import BudgetCallback
from keras_dynamicgate.callbacks.steered_time import SteeredTime
from keras_dynamicgate.callbacks.steered_training import SteeredTraining
from keras_dynamicgate.latency.model_times import ModelTimes
from keras_dynamicgate.latency.table import LatencyTable
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import Inputs


class TimeBudget(BudgetCallback):
    """Train a gated model to a budget of measured time.

    It steers as `MacBudget` does, but counts what a `LatencyTable` says that each layer takes as it
    will be deployed. Where layers differ in milliseconds a multiply-accumulate, gates close first
    where that saves the most time.

    Args:
        target: Float, above 0 and at most 1: the share of the full network's time to end with. The
            full network is the same model, run the same way, with every gate open; gate networks
            run in both. Defaults to `None`: `milliseconds` says it.
        table: The `LatencyTable` of the model.
        warmup: Float from 0, the share of the training without any pressure. Defaults to 0.1.
        ramp: Float from 0, the share of the training in which the allowance falls from what the
            model takes at the start to the budget; `warmup + ramp` is at most 1. Defaults to 0.4.
        milliseconds: Float above 0, the time of a call to end with, in place of `target`.

    Raises:
        ValueError: If an argument is out of range, if not one of `target` and `milliseconds` is
            given, if the table is of another model or backend, or if the model takes more than the
            budget with everything closed that can be.
        FloatingPointError: If the loss is no longer finite; it names the layer.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras_dynamicgate.DynamicGateDense(512, activation="relu", gate="static"),
        ...     keras.layers.Dense(512),
        ... ])
        >>> table = keras_dynamicgate.LatencyTable.measure(
        ...     model, batch_size=256, rounds=2, verbose=0
        ... )
        >>> model.compile(keras.optimizers.Adam(0.01), "mse")
        >>> x = np.random.default_rng(0).normal(size=(256, 64))
        >>> budget = keras_dynamicgate.TimeBudget(0.9, table)
        >>> history = model.fit(x, np.tile(x, 8), epochs=20, verbose=0, callbacks=[budget])
        >>> report = keras_dynamicgate.predict_time(model, table)
    """

    def __init__(
        self,
        target: float | None = None,
        table: LatencyTable | None = None,
        warmup: float = 0.1,
        ramp: float = 0.4,
        *,
        milliseconds: float | None = None,
    ) -> None:
        if isinstance(target, (tuple, list)):
            raise ValueError(
                "Argument `target` must be one number: `MacBudget` alone trains for several "
                f"budgets. Received: target={target!r}"
            )
        if (target is None) == (milliseconds is None):
            raise ValueError(
                "One of `target`, a share, and `milliseconds` must be given. "
                f"Received: target={target!r}, milliseconds={milliseconds!r}"
            )
        if milliseconds is None:
            checks.number("target", target, "above 0 and at most 1", lambda t: 0 < t <= 1)
        else:
            checks.number("milliseconds", milliseconds, "above 0", lambda t: t > 0)
        if not isinstance(table, LatencyTable):
            raise ValueError(
                "Argument `table` must be a `LatencyTable`, as `LatencyTable.measure(model)` "
                f"gives. Received: table={table!r}"
            )
        super().__init__(warmup, ramp)
        self.target = target
        self.table = table
        self.milliseconds = milliseconds

    def new_training(self, sample: Inputs) -> SteeredTraining:
        times = ModelTimes(self.model, self.table, sample)
        target = self.target
        if self.milliseconds is not None:
            checks.number(
                "milliseconds",
                self.milliseconds,
                f"up to {times.full:.4g}, the time of the full network",
                lambda each: each <= times.full,
            )
            target = self.milliseconds / times.full
        assert target is not None
        return SteeredTraining(self.model, SteeredTime(times, self.milliseconds), target)
