"""`GateSchedule`: temperature, threshold and penalty that change from epoch to epoch."""

from collections.abc import Callable

import keras

from keras_dynamicgate.callbacks.requirements import require_gates
from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import Logs

Schedule = float | Callable[[int], float]

# What each value may be: in words for the error, and as a check.
RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "temperature": ("above 0", lambda value: value > 0),
    "threshold": ("between 0 and 1", lambda value: 0 < value < 1),
    "penalty": ("of at least 0", lambda value: value >= 0),
}


class GateSchedule(keras.callbacks.Callback):
    """Set the temperature, the threshold or the penalty of all gates at the start of each epoch.

    The values are weights of the gates: the compiled step sees them, and a saved model keeps the
    last ones.

    Args:
        temperature: Float above 0, or a function from the epoch (from 0) to one, or `None` to
            leave it as it is.
        threshold: Float between 0 and 1, or a function from the epoch, or `None`.
        penalty: Float of at least 0 that multiplies every usage regularizer, or a function
            from the epoch, or `None`.

    Raises:
        ValueError: If a value is out of range, or the model has no gated layers.

    Examples:
        >>> anneal = keras_dynamicgate.GateSchedule(
        ...     temperature=lambda epoch: 0.9**epoch, penalty=lambda epoch: min(1.0, epoch / 5)
        ... )
    """

    def __init__(
        self,
        temperature: Schedule | None = None,
        threshold: Schedule | None = None,
        penalty: Schedule | None = None,
    ) -> None:
        super().__init__()
        given = {"temperature": temperature, "threshold": threshold, "penalty": penalty}
        self.schedules = {name: value for name, value in given.items() if value is not None}
        for name, value in self.schedules.items():
            if not callable(value):
                checks.number(name, value, *RANGES[name])

    def on_train_begin(self, logs: Logs | None = None) -> None:
        require_gates(self.model, "GateSchedule")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for name, schedule in self.schedules.items():
            value = schedule(epoch) if callable(schedule) else schedule
            checks.number(name, value, *RANGES[name])
            weight = "penalty_scale" if name == "penalty" else name
            for layer in gated_layers(self.model):
                getattr(layer.gate, weight).assign(value)
