"""Configs of layers, also of those that cannot give theirs."""

import functools
import inspect

import keras


def complete_config(layer):
    """Give the config of a layer, from its attributes where its own `get_config` fails.

    The `get_config` of `LlamaTransformerDecoder` in keras_hub 0.32 asks for an attribute that the
    layer does not have.

    Raises:
        AttributeError: If a constructor argument is no attribute of the layer either.
    """
    try:
        return type(layer).get_config(layer)
    except AttributeError:
        config = keras.layers.Layer.get_config(layer)
        for argument in inspect.signature(type(layer).__init__).parameters.values():
            if argument.name == "self" or argument.kind is argument.VAR_KEYWORD:
                continue
            if argument.default is not argument.empty and not hasattr(layer, argument.name):
                continue
            value = getattr(layer, argument.name)
            config[argument.name] = keras.saving.serialize_keras_object(value)
        return config


def with_complete_config(layer):
    """Make a layer give its complete config, also when a model that holds it is saved."""
    try:
        layer.get_config()
    except AttributeError:
        layer.get_config = functools.partial(complete_config, layer)
    return layer
