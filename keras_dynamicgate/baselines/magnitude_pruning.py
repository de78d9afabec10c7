"""Magnitude pruning: remove the smallest weights, more and more of them while a model trains."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.baselines.masked_dense import MaskedDense
from keras_dynamicgate.baselines.rewiring import Rewiring, largest, magnitudes, reset
from keras_dynamicgate.utils import checks


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
class MagnitudePrunedDense(MaskedDense):
    """A `keras.layers.Dense` whose weights the callback `MagnitudePruning` can prune.

    A pruned weight is exactly 0 and gets no gradient. Which weights are pruned is saved with the
    model, and they stay pruned in every later training. Before anything is pruned, the layer
    behaves like a `keras.layers.Dense`.

    Args:
        units: Positive integer, the size of the output.
        activation: Activation function or its name. Defaults to `None`, linear.
        use_bias: Boolean. Defaults to `True`.
        kernel_initializer: Initializer of the kernel. Defaults to `"glorot_uniform"`.
        bias_initializer: Initializer of the bias. Defaults to `"zeros"`.
        kernel_regularizer: Regularizer of the kernel; it acts on the weights that are kept.
        bias_regularizer: Regularizer of the bias.
        activity_regularizer: Regularizer of the output.
        kernel_constraint: Constraint of the kernel.
        bias_constraint: Constraint of the bias.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., features)`.

    Input shape:
        `(batch, ..., features)`

    Output shape:
        `(batch, ..., units)`

    Raises:
        ValueError: If `units` is not a positive integer.

    Examples:
        >>> layer = keras_dynamicgate.baselines.MagnitudePrunedDense(2)
        >>> layer.build((None, 3))
        >>> layer.keep(np.array([[1, 0], [0, 0], [0, 1]], "bool"))
        >>> int(np.count_nonzero(keras.ops.convert_to_numpy(layer.kernel)))
        2

    Reference:

    - Zhu and Gupta, 2017, To prune, or not to prune (arXiv 1710.01878)
    """


class MagnitudePruning(Rewiring):
    """Prune the `MagnitudePrunedDense` layers of a model while it trains.

    The share of pruned weights rises from 0 to `final_sparsity`, fast at first and slower later:
    `final_sparsity * (1 - (1 - progress)**3)`, with the progress from `begin` to `end`. After that
    the same weights stay pruned.

    Args:
        final_sparsity: Float between 0 and 1, the share of the weights to prune, without biases.
        begin: Float from 0, the share of the training before pruning. Defaults to 0.1.
        end: Float above `begin`, at most 1, the share of the training after which pruning is
            done. Defaults to 0.75.
        interval: Positive integer, the steps from one pruning to the next. Defaults to 100.
        scope: `"layer"` prunes each layer to the same share, `"global"` the smallest weights of
            all layers together, by one threshold. Defaults to `"layer"`.

    Raises:
        ValueError: If an argument is out of range, if the model has no `MagnitudePrunedDense`
            layers, or if `interval` is longer than the pruning.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)), keras_dynamicgate.baselines.MagnitudePrunedDense(8)
        ... ])
        >>> model.compile("adam", "mse")
        >>> x = np.random.default_rng(0).normal(size=(256, 64))
        >>> prune = keras_dynamicgate.baselines.MagnitudePruning(0.75, interval=2)
        >>> history = model.fit(x, x[:, :8], epochs=2, verbose=0, callbacks=[prune])
        >>> keras_dynamicgate.count_macs(model).relative
        0.25

    Reference:

    - Zhu and Gupta, 2017, To prune, or not to prune (arXiv 1710.01878)
    """

    layer_type = MagnitudePrunedDense

    def __init__(
        self,
        final_sparsity: float,
        begin: float = 0.1,
        end: float = 0.75,
        interval: int = 100,
        scope: str = "layer",
    ) -> None:
        super().__init__(interval)
        checks.number("final_sparsity", final_sparsity, "between 0 and 1", lambda s: 0 < s < 1)
        checks.number("begin", begin, "from 0 and below 1", lambda share: 0 <= share < 1)
        checks.number(
            "end", end, f"above begin={begin} and at most 1", lambda share: begin < share <= 1
        )
        checks.one_of("scope", scope, ("layer", "global"))
        self.final_sparsity = final_sparsity
        self.begin = begin
        self.end = end
        self.scope = scope

    def changes(self, total_steps: int) -> Sequence[int]:
        self._first = round(self.begin * total_steps)
        self._last = round(self.end * total_steps)
        if self._last - self._first < self.interval:
            raise self.too_long(total_steps, self._last - self._first)
        return [*range(self._first + self.interval, self._last, self.interval), self._last]

    def rewire(self, step: int) -> None:
        sparsity = self.sparsity_at(step)
        layers = self.layers()
        for group in [layers] if self.scope == "global" else [[layer] for layer in layers]:
            self._prune(group, sparsity)

    def sparsity_at(self, step: int) -> float:
        """Return the share of the weights that is pruned after a training step."""
        progress = (step - self._first) / (self._last - self._first)
        return self.final_sparsity * (1 - (1 - min(max(progress, 0.0), 1.0)) ** 3)

    def _prune(self, layers: list[Any], sparsity: float) -> None:
        kept = [ops.convert_to_numpy(layer.kept) for layer in layers]
        scores = [magnitudes(layer.kernel, was) for layer, was in zip(layers, kept, strict=True)]
        flat = np.concatenate([score.reshape(-1) for score in scores])
        # Weights that an earlier training pruned stay pruned.
        count = min(round((1 - sparsity) * flat.size), sum(map(np.count_nonzero, kept)))
        ends = np.cumsum([score.size for score in scores])
        for layer, part in zip(layers, np.split(largest(flat, count), ends[:-1]), strict=True):
            part = part.reshape(layer.kept.shape)
            layer.keep(part)
            momentum = self.momentum(layer)
            if momentum is not None:
                # Otherwise its momentum would carry the weight away from 0.
                reset(momentum, ~part)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._step < self._last:
            warnings.warn(
                f"The training ended after {self._step} steps, before pruning was done at step "
                f"{self._last}: the sparsity is {self.sparsity_at(self._step):.3f} at most, not "
                f"{self.final_sparsity}.",
                stacklevel=2,
            )
