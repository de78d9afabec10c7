"""RigL: a network that is sparse from the start and looks for better places for its weights."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.baselines.masked_dense import MaskedDense
from keras_dynamicgate.baselines.rewiring import Rewiring, largest, magnitudes, reset
from keras_dynamicgate.baselines.spreading import kept_counts, random_choice
from keras_dynamicgate.utils import checks

# Optimizers whose momentum is a running mean of the gradient, up to a factor.
OPTIMIZERS = ("SGD", "Adam", "AdamW", "Adamax", "Nadam", "Lamb", "Lion")


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
class RigLDense(MaskedDense):
    """A sparse `keras.layers.Dense` whose weights the callback `RigLUpdate` moves.

    From the start it keeps a constant number of the weights of its kernel, chosen at random. A
    weight that is not kept is exactly 0 in the output. Its gradient still reaches the optimizer,
    whose running mean then tells which weight would help most. Which weights are kept is saved with
    the model, and so is `rewired`: whether a `RigLUpdate` has trained the layer.

    The gradients of weights that are not kept count in the norm that an optimizer with `clipnorm`
    or `global_clipnorm` clips.

    Args:
        units: Positive integer, the size of the output.
        activation: Activation function or its name. Defaults to `None`, linear.
        use_bias: Boolean. Defaults to `True`.
        kernel_initializer: Initializer of the kernel. Defaults to `"glorot_uniform"`.
        bias_initializer: Initializer of the bias. Defaults to `"zeros"`.
        kernel_regularizer: Regularizer of the kernel; it acts on the weights that are kept.
        bias_regularizer: Regularizer of the bias.
        activity_regularizer: Regularizer of the output.
        kernel_constraint: Must be `None`.
        bias_constraint: Constraint of the bias.
        sparsity: Float from 0 and below 1, the share of the kernel's weights that is not kept.
            Defaults to 0.9.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., features)`.

    Input shape:
        `(batch, ..., features)`

    Output shape:
        `(batch, ..., units)`

    Raises:
        ValueError: If `units` or `sparsity` is out of range, or there is a `kernel_constraint`.

    Examples:
        >>> sparse = keras_dynamicgate.baselines.RigLDense(64, activation="relu", sparsity=0.75)
        >>> model = keras.Sequential([keras.Input((64,)), sparse])
        >>> keras_dynamicgate.count_macs(model).relative
        0.25

        With gates on top of the sparse weights:

        >>> sparse = keras_dynamicgate.baselines.RigLDense(64, activation="relu")
        >>> layer = keras_dynamicgate.DynamicGateDense(64, dense=sparse)

    Reference:

    - Evci et al., 2020, Rigging the Lottery (arXiv 1911.11134)
    """

    dense_gradient = True

    def __init__(
        self, units: int, *dense_arguments: Any, sparsity: float = 0.9, **kwargs: Any
    ) -> None:
        super().__init__(units, *dense_arguments, **kwargs)
        checks.number("sparsity", sparsity, "from 0 and below 1", lambda s: 0 <= s < 1)
        if self.kernel_constraint is not None:
            # Constraints run in the optimizer, which does not know which weights are kept.
            raise ValueError(
                "Argument `kernel_constraint` must be `None`: weights that are not kept would "
                f"count in it. Received: kernel_constraint={self.kernel_constraint!r}"
            )
        self.sparsity = sparsity

    def build(self, input_shape: tuple[Any, ...]) -> None:
        super().build(input_shape)
        self.rewired = self.add_weight(
            name="rewired", shape=(), initializer="zeros", dtype="bool", trainable=False
        )

    def load_own_variables(self, store: Any) -> None:
        last = str(len(self.weights) - 1)
        if self.built and last not in store:
            # Files older than `rewired`, the last weight, do not say whether a `RigLUpdate` has
            # trained the layer. They load as if one had, so that the same weights are kept.
            store = {**{key: store[key] for key in store.keys()}, last: True}  # noqa: SIM118
        super().load_own_variables(store)

    def draw_kept(self, shape: tuple[int, ...], dtype: str = "bool") -> Any:
        """Choose which weights a new layer keeps, at random."""
        count = kept_counts([shape], [self.sparsity], "uniform")[0]
        return ops.cast(random_choice(shape, count), dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sparsity": self.sparsity}


class RigLUpdate(Rewiring):
    """Look for better places for the weights of the `RigLDense` layers while a model trains.

    Every `interval` steps the smallest weights of each layer are dropped and as many new ones,
    beginning at 0, are added where the optimizer's running mean of the dense gradient is largest.
    The share that is exchanged falls along a cosine.

    Args:
        distribution: How the weights that all layers together keep are spread over them:
            `"erk"` (Erdos-Renyi-Kernel: in proportion to inputs plus outputs, so that small layers
            keep a larger share) or `"uniform"` (each layer keeps what its own `sparsity` says).
            It applies to layers that are trained for the first time; layers that a `RigLUpdate`
            trained before, and frozen ones, keep the weights that they have. Defaults to `"erk"`.
        interval: Positive integer, the steps from one exchange to the next. Defaults to 100.
        drop_fraction: Float between 0 and 1, the share of the kept weights that is exchanged at
            the start. Defaults to 0.3.
        end: Float above 0, at most 1, the share of the training after which the same weights are
            kept. Defaults to 0.75.

    Raises:
        ValueError: If an argument is out of range, if the model has no `RigLDense` layers, if the
            optimizer keeps no running mean of the gradient, or if `interval` is longer than the
            part of the training in which weights are exchanged.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)), keras_dynamicgate.baselines.RigLDense(8, sparsity=0.75)
        ... ])
        >>> model.compile("adam", "mse")
        >>> x = np.random.default_rng(0).normal(size=(256, 64))
        >>> rewire = keras_dynamicgate.baselines.RigLUpdate(interval=2)
        >>> history = model.fit(x, x[:, :8], epochs=2, verbose=0, callbacks=[rewire])
        >>> keras_dynamicgate.count_macs(model).relative
        0.25

    Reference:

    - Evci et al., 2020, Rigging the Lottery (arXiv 1911.11134)
    """

    layer_type = RigLDense

    def __init__(
        self,
        distribution: str = "erk",
        interval: int = 100,
        drop_fraction: float = 0.3,
        end: float = 0.75,
    ) -> None:
        super().__init__(interval)
        checks.one_of("distribution", distribution, ("erk", "uniform"))
        checks.number("drop_fraction", drop_fraction, "between 0 and 1", lambda s: 0 < s < 1)
        checks.number("end", end, "above 0 and at most 1", lambda share: 0 < share <= 1)
        self.distribution = distribution
        self.drop_fraction = drop_fraction
        self.end = end

    def changes(self, total_steps: int) -> Sequence[int]:
        self._last = math.ceil(self.end * total_steps)
        if self.interval >= self._last:
            raise self.too_long(total_steps, self._last - 1)
        return range(self.interval, self._last, self.interval)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        require_running_mean(self.model.optimizer)
        # What a layer has learned also lies in which weights it keeps.
        layers = [layer for layer in self.layers() if layer.trainable and not _is_rewired(layer)]
        shapes = [tuple(layer.kept.shape) for layer in layers]
        sparsities = [layer.sparsity for layer in layers]
        counts = kept_counts(shapes, sparsities, self.distribution)
        for layer, shape, count in zip(layers, shapes, counts, strict=True):
            if np.count_nonzero(ops.convert_to_numpy(layer.kept)) != count:
                layer.kept.assign(random_choice(shape, count))
            layer.rewired.assign(True)

    def rewire(self, step: int) -> None:
        share = self.drop_fraction / 2 * (1 + math.cos(math.pi * min(step / self._last, 1.0)))
        for layer in self.layers():
            if layer.trainable:
                self._exchange(layer, share)

    def _exchange(self, layer: RigLDense, share: float) -> None:
        momentum = self.momentum(layer)
        if momentum is None:
            raise ValueError(
                f"The optimizer has no momentum for the kernel of layer {layer.name!r}. Compile "
                "the model again after changing which of its layers are trainable. "
                f"Received: optimizer={type(self.model.optimizer).__name__}"
            )
        kept = ops.convert_to_numpy(layer.kept)
        count = int(np.count_nonzero(kept))
        exchanged = int(share * count)
        stay = largest(magnitudes(layer.kernel, kept), count - exchanged)
        grown = largest(magnitudes(momentum, ~stay), exchanged)
        layer.keep(stay | grown)
        reset(momentum, grown & ~kept)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        for layer in self.layers():
            if layer.trainable:
                # Their gradients have changed the weights that are not kept.
                layer.keep(ops.convert_to_numpy(layer.kept))


def _is_rewired(layer: RigLDense) -> bool:
    return bool(ops.convert_to_numpy(layer.rewired))


def require_running_mean(optimizer: keras.optimizers.Optimizer) -> None:
    """Raise a `ValueError` unless an optimizer keeps a running mean of the gradient."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    known = tuple(getattr(keras.optimizers, name) for name in OPTIMIZERS)
    if not isinstance(inner, known) or getattr(inner, "momentum", None) == 0:
        raise ValueError(
            "`RigLUpdate` grows weights by the running mean of their gradient, which these "
            f"optimizers keep: {', '.join(OPTIMIZERS)}; SGD with a `momentum` above 0. "
            f"Received: optimizer={type(inner).__name__}"
        )
