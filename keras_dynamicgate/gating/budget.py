"""The controller that steers all gates of a model to one budget, inside the training step."""

from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from keras_dynamicgate.gating.openness import Averages

Gate = Any  # `gate.py` imports this file

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


def is_steerable(gate: Gate) -> bool:
    """Tell whether a price can change what a `Gate` does: not with `top_k`, not while frozen."""
    return gate.top_k is None and gate.trainable


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
    saved with the model and resumes with it.

    Args:
        gates: List of the `Gate` layers of the model, in the order in which they run.
        relative_macs: Function that gives the relative MACs for a dict from `Gate` to the average
            openness of its gates, of shape `(gates,)`.
        target: Float, the relative MACs to end with.
        start: Float, the relative MACs to start from.
        warmup: Float, the share of the training before the allowance falls.
        ramp: Float, the share of the training in which it falls from `start` to `target`.
        progress_per_step: Float, the share of the training that a step takes; 0 if that is not
            known and `progress` is set from outside.
    """

    def __init__(
        self,
        gates: Sequence[Gate],
        relative_macs: Callable[[Averages], Any],
        *,
        target: float,
        start: float,
        warmup: float,
        ramp: float,
        progress_per_step: float,
    ) -> None:
        self.gates = gates
        self.relative_macs = relative_macs
        self.target = target
        self.start = start
        self.warmup = warmup
        self.ramp = ramp
        self.progress_per_step = progress_per_step

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
        state = ops.convert_to_tensor(gate.budget_state)
        progress, gain, drift, trend = ops.unstack(state, len(INITIAL_STATE))
        progress = progress + self.progress_per_step
        started = ops.cast(progress > self.warmup, "float32")
        error = started * self._error(self.allowance(progress))
        gain = ops.where(error * trend >= 0.0, gain * GAIN_RISE, gain * GAIN_FALL)
        gain = ops.clip(gain, SMALLEST_GAIN, LARGEST_GAIN)
        trend = trend + TREND_RATE * (error - trend)
        # The integral follows gates that drift: the pressure moves them at every step. What it has
        # gathered fades once it points the wrong way, as it does when the learning rate has fallen.
        # In proportion to the gain, so that it is damped alike wherever gates lie close together.
        drift = ops.where(trend * drift < 0.0, drift * DRIFT_FALL, drift)
        drift = ops.clip(drift + DRIFT_SHARE * gain * error, -LARGEST_DRIFT, LARGEST_DRIFT)
        rise = gain * error + started * drift
        fading = (NOISE_ENDS_AT - progress) / (NOISE_ENDS_AT - NOISE_FADES_FROM)
        noise_scale = ops.clip(fading, 0.0, 1.0)
        usage = {each: ops.convert_to_tensor(each.usage) for each in self.gates}
        for each in self.gates:
            each.budget_state.assign(ops.stack([progress, gain, drift, trend]))
            each.noise_scale.assign(noise_scale)
            if is_steerable(each):
                # A gate that has joined, frozen before or new, keeps a price of its own.
                price = ops.clip(each.price + rise, -LARGEST_PRICE, LARGEST_PRICE)
                exponent = PRESSURE_GROWTH * ops.clip(price, -LARGEST_EXPONENT, LARGEST_EXPONENT)
                each.price.assign(price)
                multiplier = started * ops.exp(exponent)
                each.pressure.assign(multiplier * self._marginal_macs(each, usage))

    def allowance(self, progress: Any) -> Any:
        """Give the relative MACs that are allowed at a share of the training."""
        ramped = ops.clip((progress - self.warmup) / max(self.ramp, 1e-6), 0.0, 1.0)
        return self.start + (self.target - self.start) * ramped

    def _error(self, allowance: Any) -> Any:
        """Compare what the masks of the last step cost with what is allowed."""
        open_ratios = {gate: ops.convert_to_tensor(gate.open_ratio) for gate in self.gates}
        measured = self.relative_macs(open_ratios)
        error = ops.log(measured / allowance)
        return ops.clip(error, -LARGEST_ERROR, LARGEST_ERROR)

    def _marginal_macs(self, gate: Gate, usage: Averages) -> Any:
        """Give what the model costs more with this gate open than with it closed."""
        opened, closed = ops.ones(gate.gates, "float32"), ops.zeros(gate.gates, "float32")
        return self.relative_macs({**usage, gate: opened}) - self.relative_macs(
            {**usage, gate: closed}
        )
