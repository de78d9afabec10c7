"""One training of a model that is steered to a budget, from its first step to its end."""

import math
from typing import Any, Protocol

import keras
from keras import ops

from keras_dynamicgate.gating.budget import (
    INITIAL_STATE,
    LARGEST_ERROR,
    TREND_RATE,
    BudgetController,
    BudgetPlan,
    is_steerable,
)
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.masks import fewest_open
from keras_dynamicgate.gating.openness import Averages
from keras_dynamicgate.graph.averages import average_all, average_without
from keras_dynamicgate.graph.kept_step import keep_step, use_step
from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.utils.types import Tensor


class Steerable(Protocol):
    """What a model costs, in relation to the full network, for how open its gates are.

    Attributes:
        gates: List of the gates that save something, in the order in which they run.
        callback: Name of the callback that steers it.
        unit: What a number of it says, for messages.
        others: Sentence about the gates that are not steered, for messages.
    """

    gates: list[Gate]
    callback: str
    unit: str
    others: str

    def calls(self, gate: Gate) -> int:
        """Give how often a gate is called for one sample."""

    def relative(self, averages: Averages) -> Tensor:
        """Give the relative cost, a tensor of shape `()` or `(cases,)`.

        Args:
            averages: Dict from each gate in `gates` to a tensor of shape `(gates,)`, or
                `(cases, gates)` for several cases at once.
        """

    def overlooked(self) -> float:
        """Give what more the model costs now than `relative` knows."""

    def kind(self) -> Any:
        """Give what tells this cost from another one, comparable by `==`."""

    def asked(self, target: float) -> str:
        """Give the argument that asked for a relative cost."""


class SteeredTraining:
    """Puts a `BudgetController` into the gates of a model and takes it out again.

    Args:
        model: A compiled model.
        cost: The `Steerable` cost of it.
        target: Float, the relative cost to end with.

    Raises:
        ValueError: If no gate can be steered or the target is out of reach.
    """

    def __init__(self, model: keras.Model, cost: Steerable, target: float) -> None:
        self.model = model
        self.target = target
        self._cost = cost
        self._gates = self._cost.gates
        self._steered = [gate for gate in self._gates if is_steerable(gate)]
        self._check_reachable()

    @property
    def unit(self) -> str:
        """What a number of the cost says, for messages."""
        return self._cost.unit

    def begin(
        self, epoch: int, epochs: int, steps_left: int, *, warmup: float, ramp: float
    ) -> None:
        """Put the controller in and have the step compiled with it.

        Args:
            epoch: Integer, the epoch that begins.
            epochs: Integer, the epoch at which the training ends.
            steps_left: Integer, the steps up to that end, 0 if that is not known.
            warmup: Float, as of `BudgetCallback`.
            ramp: Float, as of `BudgetCallback`.
        """
        if any(gate.budget is not None for gate in self._gates):
            self.end()
            raise ValueError(
                f"A training can have one `{self._cost.callback}`: two prices would fight for the "
                f"same gates. Received: another one, of {self._cost.asked(self.target)}"
            )
        self._prepare()
        progress = min(self._state()[0], 1.0) if epoch > 0 else 0.0
        resumed = progress > 0.0
        # Do not open a model again that an earlier training has brought to its budget.
        now = self._all_open() if resumed else self._open_ratios()
        # Without a length, progress was saved as of the beginning of the epoch before.
        # The controller moves on whenever its first gate is called.
        steps_left *= self._cost.calls(self._gates[0])
        self._known = (epoch if steps_left or not resumed else epoch - 1, progress)
        self._epochs = epochs
        self._plan = BudgetPlan(
            target=self.target,
            start=max(self._largest(), self._relative(now)),
            warmup=warmup,
            ramp=ramp,
            progress_per_step=_progress_per_step(progress, steps_left),
        )
        self._controller = self._new_controller()
        self._controller.set_plan(self._plan)
        self._controller.set_progress(progress)
        for gate in self._gates:
            gate.budget = self._controller
        # The price belongs to the logits of the last step, not to an average of them.
        weights = [weight for gate in self._steered for weight in gate.network.trainable_weights]
        average_without(self.model.optimizer, weights)
        # The step that the model has, perhaps of an earlier `fit`, knows no controller.
        use_step(self.model, self._kind_of_step())

    def reach(self, epoch: int) -> None:
        """Set the progress at the beginning of an epoch if steps do not tell it."""
        if self._plan.progress_per_step == 0.0:
            first, progress = self._known
            done = (epoch - first) / (self._epochs - first)
            self._controller.set_progress(progress + (1.0 - progress) * done)

    def end(self) -> None:
        """Take the controller out of the gates."""
        forget_budgets(self.model)
        keep_step(self.model, self._kind_of_step())

    def reached(self) -> dict[float, float]:
        """Give the relative cost of the last steps, of which a single one may be far off.

        Returns:
            Dict from each budget of the training to what it has come to.
        """
        progress, _, _, trend = self._state()
        return {self.target: self._followed(self._plan, progress, trend) + self._cost.overlooked()}

    def _followed(
        self, plan: BudgetPlan, progress: float, trend: float, calls: int = 1, share: float = 1.0
    ) -> float:
        """Give the relative cost that a controller has followed.

        Args:
            plan: The `BudgetPlan` of the training, with the budget that was followed.
            progress: Float, the share of the training that is done.
            trend: Float, the running mean of the error.
            calls: Integer, how many of the steps of progress are one error. Defaults to 1.
            share: Float, the share of the errors that were of this budget. Defaults to 1.0.
        """
        counted = (progress - plan.warmup) / (plan.progress_per_step or 1e-3) / calls
        if share * counted >= 1.0:
            # A running mean, which the warm-up has brought to 0.
            error = trend / (1.0 - (1.0 - TREND_RATE) ** counted)
            if abs(error) < 0.9 * LARGEST_ERROR:  # and is not cut off
                allowed = ops.convert_to_numpy(plan.allowance(progress))
                return float(allowed) * math.exp(error)
        return self._relative(self._open_ratios())

    def _prepare(self) -> None:
        """Take away what a training for several budgets has left in the gates."""
        for gate in self._gates:
            if len(gate.price_table.rows()):
                gate.price_table.set_rows(())
                gate.budget_state.assign(INITIAL_STATE)

    def _largest(self) -> float:
        """Give the largest relative cost to end with."""
        return self.target

    def _new_controller(self) -> BudgetController:
        return BudgetController(self._gates, self._cost.relative)

    def _kind_of_step(self) -> tuple[Any, ...]:
        """Give what a step is compiled for: which gates are steered, and what each product costs.

        Layers are compared by identity.
        """
        return self._gates, [is_steerable(gate) for gate in self._gates], self._cost.kind()

    def _state(self) -> list[float]:
        return [float(each) for each in ops.convert_to_numpy(self._gates[0].budget_state)]

    def _relative(self, averages: dict[Gate, Tensor]) -> float:
        return float(ops.convert_to_numpy(self._cost.relative(averages)))

    def _all_open(self) -> dict[Gate, Tensor]:
        return {gate: ops.ones(gate.gates, "float32") for gate in self._gates}

    def _open_ratios(self) -> dict[Gate, Tensor]:
        return {gate: ops.convert_to_tensor(gate.open_ratio) for gate in self._gates}

    def _check_reachable(self) -> None:
        if not self._steered:
            raise ValueError(
                f"`{self._cost.callback}` needs gates that it can steer: those with `top_k` open a "
                f"fixed share, frozen ones do not learn, and {self._cost.others} "
                f"Received: model {self.model.name!r} without any other gates"
            )
        least = {gate: opened * _least_open(gate) for gate, opened in self._all_open().items()}
        lowest = self._relative(least)
        if lowest > self.target:
            asked = self._cost.asked(self.target)
            raise ValueError(
                f"Argument `{asked.split('=')[0]}` is out of reach: model {self.model.name!r} "
                f"costs at least {lowest:.3f} {self._cost.unit}, by its ungated layers, gate "
                "networks, `min_open` and `top_k`. Gate more layers, make the gate networks "
                f"smaller or raise the budget. Received: {asked}"
            )


def forget_budgets(model: keras.Model) -> None:
    """Take all controllers out of the gates of a model, as trainings that broke off leave them."""
    for layer in gated_layers(model):
        layer.gate.budget = None
        layer.gate.penalty.assign(0.0)
    average_all(model.optimizer)


def _progress_per_step(progress: float, steps_left: int) -> float:
    """Give the share of the training that a step takes, 0 if its length is not known."""
    if not steps_left or progress >= 1.0:
        return 0.0
    # Whole steps, or a training that goes on would take other ones, by the last digit.
    return 1.0 / round(steps_left / (1.0 - progress))


def _least_open(gate: Gate) -> float:
    """Give the share of a gate layer's gates that is open for any logits."""
    fewest = fewest_open(gate.min_open, gate.gates) if gate.top_k is None else gate.top_k
    return float(fewest / gate.gates)
