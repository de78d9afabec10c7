"""How layers inside a layer are quantized, as configs."""

from typing import Any

import keras


def serialize(layer: keras.layers.Layer) -> Any:
    """Give the config of how a layer is quantized, `None` if it is not.

    Args:
        layer: A Keras layer.
    """
    if layer.quantization_mode is None:
        return None
    config = getattr(layer, "quantization_config", None)
    return {
        "dtype": keras.dtype_policies.serialize(layer.dtype_policy),
        "quantization_config": keras.saving.serialize_keras_object(config),
    }


def restore(layer: keras.layers.Layer, config: dict[str, Any]) -> None:
    """Quantize a layer as a config says, so that it takes the weights of a quantized one.

    Args:
        layer: A Keras layer, built or not, that is not quantized.
        config: What `serialize` gave.
    """
    policy = keras.dtype_policies.deserialize(config["dtype"])
    quantization = keras.saving.deserialize_keras_object(config["quantization_config"])
    if layer.built:
        layer.quantize(policy.quantization_mode, config=quantization)
        return
    layer.dtype_policy = policy
    if quantization is not None:
        layer.quantization_config = quantization
