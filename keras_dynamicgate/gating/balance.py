"""`LogitBalance`: each gate is open for some inputs and closed for others."""

import statistics
from typing import Any

import keras
from keras import ops

from keras_dynamicgate.gating import replicas
from keras_dynamicgate.utils.types import PartialShape

# Standardised logits are so many temperatures apart where inputs differ by one deviation.
SLOPE = 4.0
MOMENTUM = 0.98
LEAST_VARIANCE = 1e-3


class LogitBalance(keras.layers.Layer):
    """Standardises the logits of each gate over the inputs and bounds what is the same for all.

    A gate then opens for the inputs that ask for it most. What its bias and the price of a budget
    add for all inputs alike can move its open ratio only between `share` and `1 - share`, as far as
    its logits are distributed normally. So one price does not drive gates to be open, or closed,
    for every input.

    As in batch normalisation, means and deviations are those of the batch in training, over all
    replicas and without padding, and running ones in inference.

    Args:
        gates: Integer, the number of gates.
        share: Float between 0 and 0.5.

    Attributes:
        logit_mean: Weight of shape `(gates,)`, the running mean of each gate's logits without bias.
        logit_deviation: Weight of shape `(gates,)`, their running standard deviation.
    """

    def __init__(self, gates: int, share: float, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.gates = gates
        self.reach = SLOPE * statistics.NormalDist().inv_cdf(1.0 - share)

    def build(self, input_shape: PartialShape) -> None:
        self.logit_mean = self._running("logit_mean", 0.0)
        self.logit_deviation = self._running("logit_deviation", 1.0)

    def call(self, logits: Any, constant: Any, training: bool = False, weights: Any = None) -> Any:
        """Balance logits.

        Args:
            logits: Float tensor of shape `(..., gates)`, in temperatures, without bias and price.
            constant: Tensor of shape `(gates,)`, bias minus price, in temperatures.
            training: Whether to go by the batch. Defaults to `False`.
            weights: 1 for the positions that count and 0 for padding. Defaults to `None`, all.

        Returns:
            A tensor of the shape of `logits`.
        """
        if training and self.trainable:
            mean, deviation = self._of_batch(logits, weights)
        else:
            mean = ops.convert_to_tensor(self.logit_mean)
            deviation = ops.convert_to_tensor(self.logit_deviation)
        apart = ops.multiply(SLOPE, ops.divide(ops.subtract(logits, mean), deviation))
        return ops.add(apart, self._bounded(constant))

    def rematerialized_call(self, layer_call: Any, *args: Any, **kwargs: Any) -> Any:
        """Never recompute what sets weights."""
        return layer_call

    def affine(self, constant: Any) -> tuple[Any, Any]:
        """Give the factor of each gate's logits and what is added to them in inference.

        Args:
            constant: As for a call.

        Returns:
            Two tensors of shape `(gates,)`.
        """
        slope = ops.divide(SLOPE, ops.convert_to_tensor(self.logit_deviation))
        centre = ops.multiply(slope, ops.convert_to_tensor(self.logit_mean))
        return slope, ops.subtract(self._bounded(constant), centre)

    def _bounded(self, constant: Any) -> Any:
        """Bound what is added for all inputs, smoothly so that a gradient leads back."""
        return ops.multiply(self.reach, ops.tanh(ops.divide(constant, self.reach)))

    def _of_batch(self, logits: Any, weights: Any) -> tuple[Any, Any]:
        positions = tuple(range(len(logits.shape) - 1))
        mean = replicas.joint_mean(logits, positions, weights)
        variance = replicas.joint_mean(ops.square(ops.subtract(logits, mean)), positions, weights)
        deviation = ops.sqrt(ops.add(variance, LEAST_VARIANCE))
        moved = 1.0 - MOMENTUM
        if not replicas.all_count(logits, weights):
            counted = replicas.mean(ops.ones_like(logits), weights=weights)
            moved = ops.where(counted > 0.0, moved, 0.0)  # without samples there is nothing new
        for running, value in ((self.logit_mean, mean), (self.logit_deviation, deviation)):
            old = ops.convert_to_tensor(running)
            change = ops.subtract(ops.stop_gradient(value), old)
            running.assign(ops.add(old, ops.multiply(moved, change)))
        return mean, deviation

    def _running(self, name: str, value: float) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=(self.gates,),
            initializer=keras.initializers.Constant(value),
            trainable=False,
            autocast=False,
        )
