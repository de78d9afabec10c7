"""`MacBudget`: one number, the share of the multiply-accumulates that the model may use."""

import warnings

import keras
from keras import ops

from keras_dynamicgate.callbacks.finite import check_finite
from keras_dynamicgate.callbacks.requirements import require_counted_gates
from keras_dynamicgate.gating.budget import BudgetController, is_steerable
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.masks import fewest_open
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import Logs, Tensor

MISSED_BY = 0.05


class MacBudget(keras.callbacks.Callback):
    """Train a gated model to a budget of relative MACs, gate networks included.

    There is no penalty weight to tune: a controller inside the training step moves the price of
    open gates until the model costs what it may. Its state is saved with the model, so a resumed
    training continues where it stopped.

    Args:
        target: Float, above 0 and at most 1: (executed + gate MACs) / dense MACs to end with.
        warmup: Float from 0, the share of the training without any pressure. Defaults to 0.1.
        ramp: Float from 0, the share of the training in which the allowance falls from what the
            model costs at the start to `target`; `warmup + ramp` is at most 1. Defaults to 0.4.

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

    def __init__(self, target: float, warmup: float = 0.1, ramp: float = 0.4) -> None:
        super().__init__()
        checks.number("target", target, "above 0 and at most 1", lambda t: 0 < t <= 1)
        checks.number("warmup", warmup, "from 0 and below 1", lambda w: 0 <= w < 1)
        checks.number(
            "ramp",
            ramp,
            f"from 0 to 1 - warmup = {1 - warmup:g}",
            lambda r: 0 <= r <= 1 - warmup + 1e-9,
        )
        self.target = target
        self.warmup = warmup
        self.ramp = ramp

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._cost = require_counted_gates(self.model, "MacBudget")
        self._gates = list(self._cost.gates.values())
        self._check_reachable()
        if not self.params["steps"] and self.params["epochs"] == 1:
            raise ValueError(
                "`MacBudget` has to know how long the training is. Give `fit` `steps_per_epoch` or "
                "more than one epoch. Received: epochs=1 and data of unknown length"
            )
        self._controller: BudgetController | None = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self._controller is None:
            # Only now: `BackupAndRestore` may have loaded weights when the training began.
            self._first_epoch = epoch
            self._controller = self._begin(resumed=epoch > 0 and self._progress() > 0)
        if self._controller.progress_per_step == 0.0:
            epochs = self.params["epochs"] - self._first_epoch
            self._controller.set_progress((epoch - self._first_epoch) / epochs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        try:
            check_finite(self.model, logs)
        except FloatingPointError:
            self._detach()
            raise

    def on_train_end(self, logs: Logs | None = None) -> None:
        measured = self._relative_macs(self._open_ratios())
        self._detach()
        if abs(measured - self.target) > MISSED_BY:
            warnings.warn(
                f"The training ended at {measured:.3f} relative MACs, with a budget of "
                f"{self.target}. Train for more steps, or with a learning rate that falls.",
                stacklevel=2,
            )

    def _begin(self, resumed: bool) -> BudgetController:
        epochs = self.params["epochs"]
        if not resumed:
            epochs -= self._first_epoch
        # Do not open a model again that an earlier training has brought to its budget.
        now = self._all_open() if resumed else self._open_ratios()
        # The controller moves on whenever its first gate is called.
        steps = (self.params["steps"] or 0) * epochs * self._cost.calls[self._gates[0]]
        controller = BudgetController(
            self._gates,
            self._cost.relative_on_average,
            target=self.target,
            start=max(self.target, self._relative_macs(now)),
            warmup=self.warmup,
            ramp=self.ramp,
            progress_per_step=1.0 / steps if steps else 0.0,
        )
        if not resumed:
            controller.set_progress(0.0)
        for gate in self._gates:
            gate.budget = controller
        # An earlier `fit` may have compiled the step without this controller.
        self.model.make_train_function(force=True)
        return controller

    def _detach(self) -> None:
        for gate in self._gates:
            gate.budget = None
            gate.noise_scale.assign(1.0)
            gate.penalty.assign(0.0)
        self.model.train_function = None  # It was compiled with the controller.

    def _progress(self) -> float:
        return float(ops.convert_to_numpy(self._gates[0].budget_state)[0])

    def _relative_macs(self, averages: dict[Gate, Tensor]) -> float:
        return float(ops.convert_to_numpy(self._cost.relative_on_average(averages)))

    def _all_open(self) -> dict[Gate, Tensor]:
        return {gate: ops.ones(gate.gates) for gate in self._gates}

    def _open_ratios(self) -> dict[Gate, Tensor]:
        return {gate: ops.convert_to_tensor(gate.open_ratio) for gate in self._gates}

    def _check_reachable(self) -> None:
        if not any(is_steerable(gate) for gate in self._gates):
            raise ValueError(
                "`MacBudget` needs gates that it can steer: those with `top_k` open a fixed share, "
                "and frozen ones do not learn. "
                f"Received: model {self.model.name!r} without any other gates"
            )
        least = {gate: _least_open(gate) * ops.ones(gate.gates) for gate in self._gates}
        lowest = self._relative_macs(least)
        if lowest > self.target:
            raise ValueError(
                f"Argument `target` is out of reach: model {self.model.name!r} costs at least "
                f"{lowest:.3f} relative MACs, by its ungated layers, gate networks, `min_open` "
                "and `top_k`. Gate more layers, make the gate networks smaller or raise the "
                f"budget. Received: target={self.target}"
            )


def _least_open(gate: Gate) -> float:
    """Give the share of a gate layer's gates that is open for any logits."""
    fewest = fewest_open(gate.min_open, gate.gates) if gate.top_k is None else gate.top_k
    return float(fewest / gate.gates)
