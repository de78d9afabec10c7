"""Gates on the outputs of one Keras layer: what the gated `Dense` and `Conv2D` share."""

from typing import Any

import keras

from keras_dynamicgate.graph.drop_in import DropIn
from keras_dynamicgate.layers.gated_layer import GatedLayer

ACROSS_UNITS = ("softmax", "log_softmax", "sparsemax", "glu")


class GatedProduct(DropIn, GatedLayer):
    """Base class of the layers with gates on the outputs of a Keras layer; not for use by itself.

    A closed unit is 0, which after a softmax is a probability, not an absence: where all units are
    closed, a cross-entropy divides 0 by 0. So such an activation excludes gates.
    """

    @property
    def dense_layers(self) -> list[keras.layers.Layer]:
        """The Keras layers inside, which quantization works on."""
        return [getattr(self, self.inner_name)]

    @property
    def activation(self) -> Any:
        """The activation function."""
        return self.dense_layers[0].activation

    @activation.setter
    def activation(self, activation: Any) -> None:
        self.check_activation(activation)
        self.dense_layers[0].activation = activation

    def check_activation(self, activation: Any) -> None:
        """Raise a `ValueError` if an activation works across the units that gates would close."""
        if self.gate is not None and _name(activation) in ACROSS_UNITS:
            raise ValueError(
                "Argument `activation` must work on each unit by itself where units have gates: a "
                f"unit that is closed would take part in a {_name(activation)}. Make layer "
                f"{self.name!r} with `gate=None`. Received: activation={activation!r}"
            )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "GatedLayer":
        # Files of versions that did not refuse an activation across units may have one.
        config = dict(config)
        given = config.get("dense")
        if isinstance(given, keras.layers.Layer):
            activation, given.activation = given.activation, None
        else:
            activation = keras.activations.get(config.pop("activation", None))
        layer = super().from_config(config)
        layer.dense_layers[0].activation = activation
        return layer


def _name(activation: Any) -> str:
    """Give the name that an activation has in Keras, also one that is a layer."""
    while isinstance(activation, keras.layers.Activation):
        activation = activation.activation
    if isinstance(activation, keras.layers.Softmax):
        return "softmax"
    name = getattr(activation, "__name__", "")
    return name if getattr(keras.activations, name, None) is activation else ""
