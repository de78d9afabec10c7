"""A dense layer that keeps only some of its weights: what the sparse baselines share."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating.cost import Flow, Product, positions
from keras_dynamicgate.graph.element_wise import is_feature_wise
from keras_dynamicgate.utils import checks


class MaskedDense(keras.layers.Layer):
    """Base class of dense layers that keep only some of their weights; not for use by itself.

    Which weights are kept is a non-trainable weight, so it is saved with the model, and a callback
    can change it while a compiled model trains.

    Attributes:
        dense_gradient: Whether the weights that are not kept get their gradient as well. They then
            change while the model trains, without any effect on its outputs.
        dense_kernel: Weight of shape `(features, units)`, the kernel with the weights that are not
            kept.
        kept: Boolean weight of shape `(features, units)`, which weights are kept.
    """

    dense_gradient = False

    def __init__(
        self,
        units: int,
        activation: str | Callable[..., Any] | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        checks.positive_integer("units", units)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.bias = None
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(min_ndim=2)

    @property
    def kernel(self) -> Any:
        """The kernel, of shape `(features, units)`: exactly 0 where a weight is not kept."""
        if not self.dense_gradient:
            return _zero_elsewhere(self.dense_kernel, self.kept)
        dense_kernel = ops.convert_to_tensor(self.dense_kernel)
        zeros = ops.subtract(dense_kernel, ops.stop_gradient(dense_kernel))
        return ops.where(ops.convert_to_tensor(self.kept), dense_kernel, zeros)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        shape = (input_shape[-1], self.units)
        self.kept = self.add_weight(
            name="kept", shape=shape, initializer=self.draw_kept, dtype="bool", trainable=False
        )
        regularizer = self.kernel_regularizer
        self.dense_kernel = self.add_weight(
            name="kernel",
            shape=shape,
            initializer=self.kernel_initializer,
            regularizer=None if regularizer is None else _OfKept(regularizer, self.kept),
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: shape[0]})

    def call(self, inputs: Any) -> Any:
        outputs = ops.matmul(inputs, self.kernel)
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return self.activation(outputs)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*input_shape[:-1], self.units)

    def draw_kept(self, shape: tuple[int, ...], dtype: str = "bool") -> Any:
        """Choose which weights a new layer keeps: all of them."""
        return ops.ones(shape, dtype)

    def keep(self, kept: np.ndarray) -> None:
        """Set which weights are kept. Newly kept weights begin at 0.

        Args:
            kept: Boolean array of shape `(features, units)`.
        """
        self.dense_kernel.assign(_zero_elsewhere(self.kernel, kept))
        self.kept.assign(kept)

    def to_dense(self) -> keras.layers.Dense:
        """Make an ordinary `keras.layers.Dense` with the same outputs and zeros in its kernel."""
        dense = keras.layers.Dense.from_config(MaskedDense.get_config(self))
        dense.build((None, self.dense_kernel.shape[0]))
        weights = [self.kernel] if self.bias is None else [self.kernel, self.bias]
        dense.set_weights([ops.convert_to_numpy(weight) for weight in weights])
        return dense

    def cost(self, inputs: Flow) -> tuple[list[Product], Flow]:
        """Tell the MAC count what one sample costs: the weights that are kept."""
        shape = (*inputs.shape[:-1], self.units)
        macs = positions(shape) * inputs.shape[-1] * self.units
        product = Product(macs, inputs.open, kept=self.kept, layer=self, nonzero=inputs.nonzero)
        # An activation across units, such as softmax, needs all of them.
        own_columns = is_feature_wise(self.activation)
        return [product], Flow(shape, producers=(product,) if own_columns else ())

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": keras.regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
        }


class _OfKept(keras.regularizers.Regularizer):
    """A regularizer of the kept weights alone."""

    def __init__(self, regularizer: keras.regularizers.Regularizer, kept: keras.Variable) -> None:
        self.regularizer = regularizer
        self.kept = kept

    def __call__(self, kernel: Any) -> Any:
        return self.regularizer(_zero_elsewhere(kernel, self.kept))


def _zero_elsewhere(kernel: Any, kept: Any) -> Any:
    kernel = ops.convert_to_tensor(kernel)
    return ops.where(ops.convert_to_tensor(kept), kernel, ops.zeros_like(kernel))
