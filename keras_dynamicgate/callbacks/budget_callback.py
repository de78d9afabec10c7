"""`BudgetCallback`: what the callbacks share that train a model to a budget."""

import warnings
from typing import Any

import keras

from keras_dynamicgate.callbacks.finite import check_finite
from keras_dynamicgate.callbacks.requirements import require_gates
from keras_dynamicgate.callbacks.steered_training import SteeredTraining, forget_budgets
from keras_dynamicgate.graph.data_sizes import TrainingInputs, has_open_axes, values_in_place
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import Inputs, Logs

MISSED_BY = 0.05


class BudgetCallback(keras.callbacks.Callback):
    """Base class of the callbacks that train a model to a budget; not for use by itself.

    A subclass says in `new_training` what is steered.

    Args:
        warmup: Float from 0, the share of the training without any pressure.
        ramp: Float from 0, the share of the training in which the allowance falls from what the
            model costs at the start to the budget; `warmup + ramp` is at most 1.
    """

    def __init__(self, warmup: float, ramp: float) -> None:
        super().__init__()
        checks.number("warmup", warmup, "from 0 and below 1", lambda w: 0 <= w < 1)
        checks.number(
            "ramp",
            ramp,
            f"from 0 to 1 - warmup = {1 - warmup:g}",
            lambda r: 0 <= r <= 1 - warmup + 1e-9,
        )
        self.warmup = warmup
        self.ramp = ramp

        self._training: SteeredTraining | None = None
        self._inputs: TrainingInputs | None = None
        self._epoch: int | None = None

    def new_training(self, sample: Inputs) -> SteeredTraining:
        """Give what steers a training.

        Args:
            sample: Inputs of the sizes that the model leaves open, or `None` if it leaves none.
        """
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        """Give what a copy begins with: the settings, but nothing of a training."""
        of_a_training = dict.fromkeys(("_training", "_inputs", "_epoch"))
        return {**vars(self), **vars(keras.callbacks.Callback()), **of_a_training}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        require_gates(self.model, type(self).__name__)
        if not self.params["steps"] and self.params["epochs"] == 1:
            raise ValueError(
                f"`{type(self).__name__}` has to know how long the training is. Give `fit` "
                "`steps_per_epoch` or more than one epoch. Received: epochs=1 and data of unknown "
                "length"
            )
        forget_budgets(self.model)
        if self._inputs is not None:  # of a training that broke off
            self._inputs.stop()
        self._training = self._inputs = self._epoch = None
        if not has_open_axes(self.model):
            self._training = self.new_training(None)

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
        unit = "" if self._training is None else self._training.unit
        reached = self._end().items()
        missed = {target: cost for target, cost in reached if abs(cost - target) > MISSED_BY}
        if missed:
            measured = " and ".join(f"{cost:.3f}" for cost in missed.values())
            targets = " and of ".join(f"{target:g}" for target in missed)
            warnings.warn(
                f"The training ended at {measured} {unit}, with a budget of {targets}. Train for "
                "more steps, or with a learning rate that falls.",
                stacklevel=2,
            )

    def _begin_with_sizes(self, steps: int | None) -> None:
        """Begin to steer once first steps have shown the sizes that the model leaves open."""
        if self._inputs is None or self._inputs.sample is None:
            return
        self._inputs.stop()
        sample, self._inputs = self._inputs.sample, None
        values_in_place(self.model)
        self._training = self.new_training(sample)
        self._begin(self._training, steps or 0)

    def _begin(self, training: SteeredTraining, steps: int = 0) -> None:
        """Begin to steer after some steps of an epoch."""
        epoch, epochs = self._epoch or 0, self.params["epochs"]
        left = max((self.params["steps"] or 0) * (epochs - epoch) - steps, 0)
        training.begin(epoch, epochs, left, warmup=self.warmup, ramp=self.ramp)
        training.reach(epoch)

    def _end(self) -> dict[float, float]:
        """Stop to steer and give the cost that was reached for each budget."""
        if self._training is None:
            return {}
        reached = self._training.reached()
        self._training.end()
        return reached
