"""`GateSchedule`: temperature, threshold and penalty that change from epoch to epoch."""

import keras

from keras_dynamicgate.callbacks.requirements import require_gates
from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.utils import checks


class GateSchedule(keras.callbacks.Callback):
    """Sets the temperature, the threshold or the penalty of all gates at the start of each epoch.

    The values are weights of the gates: the compiled step sees them, and a saved model keeps the
    last ones.

    Args:
        temperature: Float above 0, or a function from the epoch (from 0) to one, or `None` to
            leave it alone.
        threshold: Float between 0 and 1, or a function likewise, or `None`.
        penalty: Float of at least 0 that multiplies every usage regularizer, or a function
            likewise, or `None`.

    Raises:
        ValueError: If a value is out of range, or the model has no gated layers.

    Examples:
        >>> anneal = keras_dynamicgate.GateSchedule(
        ...     temperature=lambda epoch: 0.9**epoch, penalty=lambda epoch: min(1.0, epoch / 5)
        ... )
    """

    RANGES = {
        "temperature": ("above 0", lambda value: value > 0),
        "threshold": ("between 0 and 1", lambda value: 0 < value < 1),
        "penalty": ("of at least 0", lambda value: value >= 0),
    }

    def __init__(self, temperature=None, threshold=None, penalty=None):
        super().__init__()
        given = {"temperature": temperature, "threshold": threshold, "penalty": penalty}
        self.schedules = {name: value for name, value in given.items() if value is not None}
        for name, value in self.schedules.items():
            if not callable(value):
                checks.number(name, value, *self.RANGES[name])

    def on_train_begin(self, logs=None):
        require_gates(self.model, "GateSchedule")

    def on_epoch_begin(self, epoch, logs=None):
        for name, schedule in self.schedules.items():
            value = schedule(epoch) if callable(schedule) else schedule
            checks.number(name, value, *self.RANGES[name])
            weight = "penalty_scale" if name == "penalty" else name
            for layer in gated_layers(self.model):
                getattr(layer.gate, weight).assign(value)
