"""The controller that steers all gates of a model to one budget, inside the training step."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from keras import ops

from keras_dynamicgate.gating.openness import Averages

Gate = Any  # `gate.py` imports this file
Tensor = Any

LARGEST_GAIN = 0.2
SMALLEST_GAIN = 0.0002
GAIN_RISE = 1.05
GAIN_FALL = 0.95
DRIFT_SHARE = 0.01
DRIFT_FALL = 0.9
TREND_RATE = 0.1
LARGEST_DRIFT = 0.05
LARGEST_ERROR = 1.0
PRESSURE_GROWTH = 0.3
LARGEST_EXPONENT = 8.0
LARGEST_PRICE = 30.0
NOISE_FADES_FROM = 0.4
NOISE_ENDS_AT = 0.7

# Progress, gain, drift and running mean of the error of the controller at the start.
INITIAL_STATE = (0.0, LARGEST_GAIN, 0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class BudgetPlan:
    """What a budget asks of one training; floats, or scalar tensors inside the step.

    Attributes:
        target: The relative MACs to end with.
        start: The relative MACs to start from.
        warmup: The share of the training before the allowance falls.
        ramp: The share of the training in which it falls from `start` to `target`.
        progress_per_step: The share of the training that a step takes; 0 if that is not known and
            `progress` is set from outside.
    """

    target: Any
    start: Any
    warmup: Any
    ramp: Any
    progress_per_step: Any

    def allowance(self, progress: Any) -> Any:
        """Give the relative MACs that are allowed at a share of the training."""
        ramped = (progress - self.warmup) / ops.maximum(self.ramp, 1e-6)
        return self.start + (self.target - self.start) * ops.clip(ramped, 0.0, 1.0)


PLAN_SIZE = len(dataclasses.fields(BudgetPlan))


class Follower(NamedTuple):
    """How the price follows the error of a cost; scalar tensors inside the step.

    Attributes:
        gain: How far the price moves with the error.
        drift: How far it moves without one, after the errors that were.
        trend: The running mean of the error.
    """

    gain: Any
    drift: Any
    trend: Any

    def follow(self, error: Tensor, started: Tensor, steps: Any = 1) -> tuple["Follower", Tensor]:
        """Give the follower after one more error, and by how much the price rises.

        Args:
            error: Scalar tensor, the logarithm of measured over allowed relative MACs.
            started: Scalar tensor, 1.0 once anything is charged, else 0.0.
            steps: Number, the steps of the training since the error before. What was gathered
                fades with them, or a price that seldom moves goes on long after the gates have
                settled. Defaults to 1.
        """
        error = started * ops.clip(error, -LARGEST_ERROR, LARGEST_ERROR)
        gain = self.gain
        gain = ops.where(error * self.trend >= 0.0, gain * GAIN_RISE, gain * GAIN_FALL)
        gain = ops.clip(gain, SMALLEST_GAIN, LARGEST_GAIN)
        trend = error + (1.0 - TREND_RATE) ** steps * (self.trend - error)
        # The integral follows gates that drift: the pressure moves them at every step. What it has
        # gathered fades once it points the wrong way, as it does when the learning rate has fallen.
        # In proportion to the gain, so that it is damped alike wherever gates lie close together.
        drift = ops.where(trend * self.drift < 0.0, self.drift * DRIFT_FALL**steps, self.drift)
        drift = ops.clip(drift + DRIFT_SHARE * gain * error, -LARGEST_DRIFT, LARGEST_DRIFT)
        return Follower(gain, drift, trend), gain * error + started * drift


def is_steerable(gate: Gate) -> bool:
    """Tell whether a price can change what a `Gate` does: not with `top_k`, not while frozen."""
    return gate.top_k is None and gate.trainable


def raised(prices: Tensor, rise: Tensor) -> Tensor:
    """Give prices after a rise, within what logits can follow."""
    return ops.clip(prices + rise, -LARGEST_PRICE, LARGEST_PRICE)


def pressure(prices: Tensor) -> Tensor:
    """Give the multipliers that grow with prices."""
    return ops.exp(PRESSURE_GROWTH * ops.clip(prices, -LARGEST_EXPONENT, LARGEST_EXPONENT))


class BudgetController:
    """Moves the price of open gates at every step until the model costs what it should.

    Two forces work together. The *price* is taken from every gate logit. It follows the logarithm
    of measured over allowed relative MACs and acts on the masks directly, whatever the optimizer
    and its learning rate do. It rises and falls alike for all gates. Its gain rises while errors
    keep their sign and falls when they change it, because how many gates lie close to their
    threshold, and so how much a step of the price closes, differs by orders of magnitude. The
    *pressure* is a penalty on usage, the marginal relative MACs of each gate times a multiplier
    that grows with the price; it makes the gates themselves learn to be cheap, those first that
    save the most. Before the last part of the training the noise of the gates fades, so that the
    layers learn to work with the masks of inference.

    All state is in non-trainable weights of the gates: it changes inside the compiled step, is
    saved with the model and resumes with it. The plan is in a weight, too, which is not saved, so
    that one compiled step serves trainings of any length to any budget.

    Args:
        gates: List of the `Gate` layers of the model, in the order in which they run.
        relative_macs: Function that gives the relative MACs, of shape `(cases,)`, for a dict from
            `Gate` to the average openness of its gates, of shape `(cases, gates)`.
    """

    def __init__(self, gates: Sequence[Gate], relative_macs: Callable[[Averages], Any]) -> None:
        self.gates = gates
        self.relative_macs = relative_macs
        self._steered = [gate for gate in gates if is_steerable(gate)]

    def set_plan(self, plan: BudgetPlan) -> None:
        """Set what this training is to reach."""
        self.gates[0].budget_plan.weight.assign(dataclasses.astuple(plan))

    def set_progress(self, progress: float) -> None:
        """Set the share of the training that is done."""
        for gate in self.gates:
            state = ops.convert_to_numpy(gate.budget_state).copy()
            state[0] = progress
            gate.budget_state.assign(state)

    def step(self, gate: Gate) -> None:
        """Move on by one training step, when the first gate of the model is called."""
        if gate is not self.gates[0]:
            return
        plan = BudgetPlan(*ops.unstack(ops.convert_to_tensor(gate.budget_plan.weight), PLAN_SIZE))
        state = ops.convert_to_tensor(gate.budget_state)
        progress, *followed = ops.unstack(state, len(INITIAL_STATE))
        progress = progress + plan.progress_per_step
        started = ops.cast(progress > plan.warmup, "float32")
        measured, marginal = self._costs()
        error = ops.log(measured / plan.allowance(progress))
        follower, rise = Follower(*followed).follow(error, started)
        self._keep(ops.stack([progress, *follower]), progress)
        self._raise_prices(rise, started * marginal)

    def price(self, gate: Gate) -> Tensor:
        """Give the price at which a gate is trained in this step."""
        return gate.price

    def _keep(self, state: Any, progress: Any) -> None:
        """Keep the state of the controller, and the noise that it leaves, in all gates."""
        fading = (NOISE_ENDS_AT - progress) / (NOISE_ENDS_AT - NOISE_FADES_FROM)
        noise_scale = ops.clip(fading, 0.0, 1.0)
        for gate in self.gates:
            gate.budget_state.assign(state)
            gate.noise_scale.assign(noise_scale)

    def _raise_prices(self, rise: Any, marginal: Any) -> None:
        """Raise the prices of all gates alike, and put pressure on each by what it costs."""
        # A gate that has joined, frozen before or new, keeps a price of its own.
        prices = raised(ops.stack([gate.price.value for gate in self._steered]), rise)
        pressures = pressure(prices) * marginal
        for number, gate in enumerate(self._steered):
            gate.price.assign(prices[number])
            gate.pressure.assign(pressures[number])

    def _costs(self) -> tuple[Any, Any]:
        """Give what the masks of the last step cost, and what each steered gate costs more open.

        The second, of shape `(steered gates,)`, is the difference in relative MACs between this
        gate all open and all closed, with the others as they are used.
        """
        cases = {gate: self._cases(gate) for gate in self.gates}
        costs = ops.broadcast_to(self.relative_macs(cases), (1 + 2 * len(self._steered),))
        return costs[0], costs[1::2] - costs[2::2]

    def _cases(self, gate: Gate) -> Any:
        """Give the openness of a gate in all cases to count: now, and each steered gate in turn."""
        # Not by `convert_to_tensor`, which on TensorFlow leaves a variable what it is.
        usage = gate.usage.value
        opened, closed = ops.ones_like(usage), ops.zeros_like(usage)
        cases = [gate.open_ratio.value]
        for each in self._steered:
            cases += [opened, closed] if each is gate else [usage, usage]
        return ops.stack(cases)
