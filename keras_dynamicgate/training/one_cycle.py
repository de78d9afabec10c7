"""`OneCycle`: the learning rate of the recipe."""

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises along a cosine, then falls along another to almost 0.

    Args:
        peak: Float, the largest learning rate; the first is 1/25 of it.
        steps: Integer, the number of steps of the training.
        rise: Float, the share of the steps during which the rate rises. Defaults to 0.3.

    Examples:
        >>> schedule = keras_dynamicgate.experiments.OneCycle(peak=0.01, steps=100)
        >>> round(float(schedule(30)), 4)
        0.01

    Reference:

    - Smith and Topin, 2017 (arXiv 1708.07120)
    """

    def __init__(self, peak: float, steps: int, rise: float = 0.3) -> None:
        self.peak = peak
        self.steps = steps
        self.rise = rise

    def __call__(self, step: Any) -> Any:
        progress = ops.cast(step, "float32") / self.steps
        rising = 1.0 / 25.0 + (1.0 - 1.0 / 25.0) * (1.0 - _cosine(progress / self.rise))
        falling = 1e-4 + (1.0 - 1e-4) * _cosine((progress - self.rise) / (1.0 - self.rise))
        return self.peak * ops.where(progress < self.rise, rising, falling)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "steps": self.steps, "rise": self.rise}


def _cosine(progress: Any) -> Any:
    """Fall from 1 to 0 along half a cosine."""
    return 0.5 * (1.0 + ops.cos(math.pi * ops.clip(progress, 0.0, 1.0)))
