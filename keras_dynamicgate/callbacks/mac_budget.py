"""`MacBudget`: one number, the share of the multiply-accumulates that the model may use."""

import warnings
from typing import Any, get_args

import keras

from keras_dynamicgate.callbacks.finite import check_finite
from keras_dynamicgate.callbacks.range_training import RangeTraining, budgets_in
from keras_dynamicgate.callbacks.requirements import require_gates
from keras_dynamicgate.callbacks.steered_cost import Count
from keras_dynamicgate.callbacks.steered_training import SteeredTraining, forget_budgets
from keras_dynamicgate.graph.data_sizes import TrainingInputs, has_open_axes, values_in_place
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import Inputs, Logs

MISSED_BY = 0.05


class MacBudget(keras.callbacks.Callback):
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
        super().__init__()
        if isinstance(target, (tuple, list)):
            budgets_in(target)
        else:
            checks.number("target", target, "above 0 and at most 1", lambda t: 0 < t <= 1)
        checks.number("warmup", warmup, "from 0 and below 1", lambda w: 0 <= w < 1)
        checks.number(
            "ramp",
            ramp,
            f"from 0 to 1 - warmup = {1 - warmup:g}",
            lambda r: 0 <= r <= 1 - warmup + 1e-9,
        )
        checks.one_of("count", count, get_args(Count))
        self.target = target
        self.warmup = warmup
        self.ramp = ramp
        self.count = count

        self._training: SteeredTraining | None = None
        self._inputs: TrainingInputs | None = None
        self._epoch: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Give what a copy begins with: the settings, but nothing of a training."""
        of_a_training = dict.fromkeys(("_training", "_inputs", "_epoch"))
        return {**vars(self), **vars(keras.callbacks.Callback()), **of_a_training}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        require_gates(self.model, "MacBudget")
        if not self.params["steps"] and self.params["epochs"] == 1:
            raise ValueError(
                "`MacBudget` has to know how long the training is. Give `fit` `steps_per_epoch` or "
                "more than one epoch. Received: epochs=1 and data of unknown length"
            )
        forget_budgets(self.model)
        if self._inputs is not None:  # of a training that broke off
            self._inputs.stop()
        self._training = self._inputs = self._epoch = None
        if not has_open_axes(self.model):
            self._training = self._new_training(None)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        begins = self._epoch is None
        self._epoch = epoch
        if self._training is None:
            self._inputs = self._inputs or TrainingInputs(self.model)
        elif begins:
            # Only now: `BackupAndRestore` may have loaded weights when the training began.
            self._begin(self._training)
        else:
            self._training.reach(epoch)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._begin_with_sizes(steps=batch)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._begin_with_sizes(steps=self.params["steps"])
        try:
            check_finite(self.model, logs)
        except FloatingPointError:
            self._end()
            raise

    def on_train_end(self, logs: Logs | None = None) -> None:
        reached = self._end().items()
        missed = {target: macs for target, macs in reached if abs(macs - target) > MISSED_BY}
        if missed:
            measured = " and ".join(f"{macs:.3f}" for macs in missed.values())
            targets = " and of ".join(f"{target:g}" for target in missed)
            warnings.warn(
                f"The training ended at {measured} relative MACs, counted as {self.count}, "
                f"with a budget of {targets}. Train for more steps, or with a learning rate "
                "that falls.",
                stacklevel=2,
            )

    def _new_training(self, sample: Inputs) -> SteeredTraining:
        if isinstance(self.target, (tuple, list)):
            return RangeTraining(self.model, sample, budgets_in(self.target), self.count)
        return SteeredTraining(self.model, sample, self.target, self.count)

    def _begin_with_sizes(self, steps: int | None) -> None:
        """Begin to steer once first steps have shown the sizes that the model leaves open."""
        if self._inputs is None or self._inputs.sample is None:
            return
        self._inputs.stop()
        sample, self._inputs = self._inputs.sample, None
        values_in_place(self.model)
        self._training = self._new_training(sample)
        self._begin(self._training, steps or 0)

    def _begin(self, training: SteeredTraining, steps: int = 0) -> None:
        """Begin to steer after some steps of an epoch."""
        epoch, epochs = self._epoch or 0, self.params["epochs"]
        left = max((self.params["steps"] or 0) * (epochs - epoch) - steps, 0)
        training.begin(epoch, epochs, left, warmup=self.warmup, ramp=self.ramp)
        training.reach(epoch)

    def _end(self) -> dict[float, float]:
        """Stop to steer and give the relative MACs that were reached for each budget."""
        if self._training is None:
            return {}
        reached = self._training.reached()
        self._training.end()
        return reached
