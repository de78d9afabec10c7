"""`GatedComposite`: a layer made of layers, such as a transformer block, with gates on some."""

import contextlib
from typing import Any

import keras

from keras_dynamicgate.conversion.configs import with_complete_config
from keras_dynamicgate.conversion.places import addresses, exchange, layer_at
from keras_dynamicgate.layers import quantized


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
class GatedComposite(keras.layers.Layer):
    """A composite layer of any class with gated layers in the places of some of its own.

    It is called like the composite layer and does what that does, and has its attributes.
    `gate_model` makes it. The class of the composite layer knows nothing of gates, so this layer is
    what saves and loads them.

    Args:
        composite: A layer that holds other layers. It is changed: from now on it holds the gated
            ones.
        gated: Dict from the `path` of a `Place` in it to the layer that comes there.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`. Default to those
            of `composite`.

    Attributes:
        composite: The composite layer, with the gated layers in it.
    """

    def __init__(self, composite: keras.layers.Layer, gated: Any, **kwargs: Any) -> None:
        # Keras reads from `call` which arguments a layer takes. Not by `composite(...)`: this
        # layer's own `__call__` casts, passes masks on and charges for activity already.
        self.call = composite.call
        arguments = {
            "name": composite.name,
            "dtype": composite.dtype_policy,
            "trainable": composite.trainable,
            "activity_regularizer": composite.activity_regularizer,
        }
        super().__init__(**{**arguments, **kwargs})
        self.supports_masking = composite.supports_masking
        self.input_spec = composite.input_spec
        for path, layer in gated.items():
            exchange(composite, path, layer)
        self._paths = list(gated)
        self._quantization: dict[str, Any] = {}
        # What it has not built itself is built when it is called.
        composite.built = True
        self.composite = with_complete_config(composite)

    def __getattr__(self, name: str) -> Any:
        of_torch = getattr(super(), "__getattr__", None)
        if of_torch is not None:
            with contextlib.suppress(AttributeError):
                return of_torch(name)
        own = {**vars(self), **vars(self).get("_modules", {})}  # PyTorch's own place
        # Private names hold what frameworks keep about each object.
        if "composite" not in own or name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(own["composite"], name)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        # Running `call` does not tell where it branches on sizes that are not known yet.
        if type(self.composite).build is keras.layers.Layer.build:
            return super().compute_output_spec(*args, **kwargs)
        return self.composite.compute_output_spec(*args, **kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return self.composite.compute_mask(inputs, previous_mask)

    def get_config(self) -> dict[str, Any]:
        composite = keras.saving.serialize_keras_object(self.composite)
        gated = {path: _serialize_to_share(layer_at(self.composite, path)) for path in self._paths}
        config = {**super().get_config(), "composite": composite, "gated": gated}
        # The class of the composite layer makes its layers anew, as they were before quantization.
        quantization = {
            address: quantized.serialize(layer)
            for address, layer in addresses(self.composite).items()
            if layer.quantization_mode is not None
        }
        return {**config, "quantization": quantization} if quantization else config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "GatedComposite":
        config = dict(config)
        quantization = config.pop("quantization", {})
        composite = keras.saving.deserialize_keras_object(config.pop("composite"))
        # Without the scope, the weights of all blocks of a model would have the same paths.
        with keras.name_scope(config["name"]):
            gated = {
                path: keras.saving.deserialize_keras_object(layer)
                for path, layer in config.pop("gated").items()
            }
        layer = cls(composite, gated, **config)
        layer._quantization = quantization
        layer._restore_quantization()
        return layer

    def load_own_variables(self, store: Any) -> None:
        # Layers that others make when they are built, as attention does, are there by now.
        self._restore_quantization()
        super().load_own_variables(store)

    def _restore_quantization(self) -> None:
        """Quantize the layers that were quantized when this layer was saved, as far as they are."""
        found = addresses(self.composite) if self._quantization else {}
        for address, how in self._quantization.items():
            if address in found and found[address].quantization_mode is None:
                quantized.restore(found[address], how)


def _serialize_to_share(layer: keras.layers.Layer) -> dict[str, Any]:
    """Serialize a layer that others may hold, too, so that it is one layer again when loaded."""
    # Keras marks an object as shared when it meets it again, and inside other configs the mark that
    # it then gives to the first one is lost.
    keras.saving.serialize_keras_object(layer)
    return dict(keras.saving.serialize_keras_object(layer))
