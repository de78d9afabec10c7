"""Configs of layers, also of those that cannot give theirs."""

import copy
import functools
import inspect
import types
from typing import Any

import keras


def complete_config(layer: keras.layers.Layer) -> dict[str, Any]:
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


def with_live_parts(layer: keras.layers.Layer, config: dict[str, Any]) -> dict[str, Any]:
    """Put functions and objects that are not registered with Keras into the config of a layer.

    The layer can then be copied by its config, although it could not be loaded from a file.

    Args:
        layer: A Keras layer.
        config: Its config.

    Returns:
        A config with copies of such activations, initializers, regularizers and the like.
    """
    parts = {name: getattr(layer, name, None) for name in config}
    return {
        **config,
        **{name: copy.deepcopy(part) for name, part in parts.items() if _is_unregistered(part)},
    }


def _is_unregistered(part: Any) -> bool:
    if not callable(part) or isinstance(part, keras.layers.Layer):
        return False
    named = part if isinstance(part, types.FunctionType) else type(part)
    return not named.__module__.startswith("keras.") and not _is_registered(
        keras.saving.get_registered_name(named)
    )


def _is_registered(name: str) -> bool:
    return keras.saving.get_registered_object(name) is not None


def unregistered(config: dict[str, Any]) -> list[str]:
    """List the names in a config under which Keras finds no function or class."""
    if isinstance(config, (list, tuple)):
        return [name for each in config for name in unregistered(each)]
    if not isinstance(config, dict):
        return []
    is_function = config.get("class_name") == "function"
    name = config.get("config" if is_function else "registered_name")
    found = [name] if isinstance(name, str) and not _is_registered(name) else []
    return found + [name for each in config.values() for name in unregistered(each)]


def with_complete_config(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Make a layer give its complete config, also when a model that holds it is saved."""
    try:
        layer.get_config()
    except AttributeError:
        layer.get_config = functools.partial(complete_config, layer)
    return layer
