"""`SteeredTime`: the share of the full network's time that a budget steers."""

from typing import Any

from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.openness import Averages
from keras_dynamicgate.latency.model_times import ModelTimes
from keras_dynamicgate.utils.types import Tensor


class SteeredTime:
    """What a model takes inside the training step, by a latency table.

    Args:
        times: The `ModelTimes` of the model.
        milliseconds: Float, what was asked for, or `None` if that was a share.

    Attributes:
        gates: List of the gates that make something quicker, in the order in which they run.
    """

    callback = "TimeBudget"
    others = "those are left alone that make nothing quicker in the runtime of the table."

    def __init__(self, times: ModelTimes, milliseconds: float | None) -> None:
        self._times, self._milliseconds = times, milliseconds
        self.gates: list[Gate] = list(times.deployed.gates.values())
        self.unit = f"of the full network's {times.full:.4g} milliseconds"

    def calls(self, gate: Gate) -> int:
        """Give how often a gate is called for one sample."""
        return self._times.deployed.cost.calls[gate]

    def relative(self, averages: Averages) -> Tensor:
        """Give the share of the full network's time, a tensor of shape `()` or `(cases,)`.

        Args:
            averages: Dict from each gate in `gates` to a tensor of shape `(gates,)`, or
                `(cases, gates)` for several cases at once.
        """
        # Gates that make nothing quicker are in no product of the table.
        return self._times.on_average(averages) / self._times.full

    def overlooked(self) -> float:
        """Give 0: there is nothing that `relative` does not know."""
        return 0.0

    def kind(self) -> Any:
        """Give the table, comparable by `==`."""
        return self._times.table

    def asked(self, target: float) -> str:
        """Give the argument that asked for a budget."""
        if self._milliseconds is None:
            return f"target={target}"
        return f"milliseconds={self._milliseconds}"
