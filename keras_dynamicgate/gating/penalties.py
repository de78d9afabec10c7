"""Usage regularizers: the price that training pays for open gates."""

from typing import Any

import keras
from keras import ops

from keras_dynamicgate.gating import replicas
from keras_dynamicgate.utils import checks

MODES = ("hinge", "squared")


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
class UsagePenalty(keras.regularizers.Regularizer):
    """A penalty that grows with usage: `weight * mean(probability)`.

    The mean runs over batch, positions and gates, so that the penalty depends neither on the batch
    size nor on the number of gates.

    Args:
        weight: Float of at least 0, the price of gates that are always open.

    Raises:
        ValueError: If `weight` is negative or not finite.

    Examples:
        >>> penalty = keras_dynamicgate.UsagePenalty(0.5)
        >>> float(penalty(keras.ops.array([[1.0, 0.0], [1.0, 1.0]])))
        0.375

    Reference:

    - DynamicGate-MLP (arXiv 2603.16367), the penalty on expected gate usage
    """

    def __init__(self, weight: float) -> None:
        checks.number("weight", weight, "of at least 0", lambda w: w >= 0)
        self.weight = weight

    def __call__(self, probability: Any) -> Any:
        return ops.multiply(self.weight, replicas.mean(probability))

    def get_config(self) -> dict[str, Any]:
        return {"weight": self.weight}


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
class TargetUsage(keras.regularizers.Regularizer):
    """A penalty on usage away from a target, for one layer.

    For a budget on the whole model, which needs no weight, use the callback `MacBudget`.

    Args:
        target: Float from 0 to 1, the usage to reach.
        weight: Float of at least 0.
        mode: `"hinge"` (`weight * max(0, usage - target)`: less is free) or `"squared"`
            (`weight * (usage - target) ** 2`: less costs, too). Defaults to `"hinge"`.

    Raises:
        ValueError: If an argument lies outside its range.

    Examples:
        >>> penalty = keras_dynamicgate.TargetUsage(0.25, weight=2.0)
        >>> float(penalty(keras.ops.array([[1.0, 0.0], [1.0, 1.0]])))
        1.0
    """

    def __init__(self, target: float, weight: float, mode: str = "hinge") -> None:
        checks.number("target", target, "from 0 to 1", lambda t: 0 <= t <= 1)
        checks.number("weight", weight, "of at least 0", lambda w: w >= 0)
        checks.one_of("mode", mode, MODES)
        self.target = target
        self.weight = weight
        self.mode = mode

    def __call__(self, probability: Any) -> Any:
        excess = ops.subtract(replicas.mean(probability), self.target)
        distance = ops.relu(excess) if self.mode == "hinge" else ops.square(excess)
        return ops.multiply(self.weight, distance)

    def get_config(self) -> dict[str, Any]:
        return {"target": self.target, "weight": self.weight, "mode": self.mode}
