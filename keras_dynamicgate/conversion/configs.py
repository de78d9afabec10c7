"""Configs of layers, also of those that cannot give theirs."""

import copy
import functools
import inspect
import types
from typing import Any

import keras


def complete_config(layer: keras.layers.Layer) -> dict[str, Any]:
    """Give the config of a layer as its constructor takes it, also where its `get_config` is wrong.

    In keras_hub 0.32 the `get_config` of `LlamaTransformerDecoder` asks for an attribute that the
    layer does not have, that of `Qwen3TransformerDecoder` leaves arguments out, and that of
    `ViTPatchingAndEmbedding` gives what its constructor does not take.

    Raises:
        AttributeError: If a constructor argument is no attribute of the layer either.
    """
    try:
        config = dict(type(layer).get_config(layer))
    except AttributeError:
        config = keras.layers.Layer.get_config(layer)
    if not _takes_its_config(layer):
        return config
    arguments = _arguments(type(layer))
    for name, argument in arguments.items():
        if name in config:
            continue
        # One that may be left out is taken where its value stands in no doubt.
        if argument.default is argument.empty or _is_plain(getattr(layer, name, ...)):
            config[name] = keras.saving.serialize_keras_object(getattr(layer, name))
    taken = {*arguments, *keras.layers.Layer.get_config(layer)}
    return {name: value for name, value in config.items() if name in taken}


def complete_model_config(model: keras.Model, config: dict[str, Any]) -> dict[str, Any]:
    """Add to the config of a model whose class makes its graph what its `get_config` leaves out.

    In keras_hub 0.32 that of `LlamaBackbone` leaves out whether its embeddings are tied.

    Args:
        model: The model.
        config: What its `get_config` gives.
    """
    config = dict(config)
    for name in inspect.signature(type(model).__init__).parameters:
        value = getattr(model, name, ...)
        if name not in config and _is_plain(value):
            config[name] = value
    return config


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _arguments(kind: type[keras.layers.Layer]) -> dict[str, inspect.Parameter]:
    """Give the named constructor arguments of a class of layers and of those it inherits from."""
    found: dict[str, inspect.Parameter] = {}
    for each in kind.__mro__[: kind.__mro__.index(keras.layers.Layer)]:
        if "__init__" in vars(each):
            own = inspect.signature(vars(each)["__init__"]).parameters.values()
            named = [
                one for one in own if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
            ]
            found = {**{one.name: one for one in named if one.name != "self"}, **found}
            if not any(one.kind is one.VAR_KEYWORD for one in own):
                break
    return found


def _takes_its_config(layer: keras.layers.Layer) -> bool:
    """Tell whether a layer of another package is made of its config by its constructor alone."""
    if type(layer).__module__.startswith("keras."):
        return False
    inherited = getattr(keras.layers.Layer.from_config, "__func__", None)
    return getattr(type(layer).from_config, "__func__", None) is inherited


def must_be_held(layer: keras.layers.Layer) -> bool:
    """Tell whether Keras loads a composite layer only as a part of a `GatedComposite`.

    That is where its own config does not lead to it, and where it builds the layers inside it when
    it is called, which Keras does not wait for.
    """
    builds_when_called = type(layer).build is keras.layers.Layer.build and bool(layer.weights)
    try:
        return builds_when_called or complete_config(layer) != type(layer).get_config(layer)
    except AttributeError:
        return True


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
        is_complete = complete_config(layer) == layer.get_config()
    except AttributeError:
        is_complete = False
    if not is_complete:
        layer.get_config = functools.partial(complete_config, layer)
    return layer
