"""Models whose class makes their graph, made anew of their config."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import keras

from keras_dynamicgate import graph
from keras_dynamicgate.conversion.configs import complete_model_config
from keras_dynamicgate.graph.own_class import builds_its_graph


def made_anew(model: keras.Model) -> keras.Model:
    """Make a model by its config: of the same class, with weights that are not copied yet.

    Args:
        model: A built model that `builds_its_graph`.

    Raises:
        ValueError: If its config does not lead to one that is made of the same layers.
    """
    try:
        with _complete_configs(model):
            config = model.get_config()
        if "preprocessor" in config:
            # Task models of keras_hub take the object itself, whose vocabulary is in no config.
            config["preprocessor"] = model.preprocessor
        new = type(model).from_config(config)
        if not graph.has_graph(new) or list(map(type, _parts(model))) != list(
            map(type, _parts(new))
        ):
            raise ValueError("it makes other layers")
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise _no_copy(model, error) from error
    _compile_alike(model, new)
    return new


@contextlib.contextmanager
def _complete_configs(model: keras.Model) -> Iterator[None]:
    """Let a model and those inside it give their complete configs."""
    inside = filter(builds_its_graph, graph.all_layers(model, include_self=True))
    models: list[Any] = [each for each in inside if "get_config" not in vars(each)]
    for each in models:
        each.get_config = functools.partial(_complete_config, each)
    try:
        yield
    finally:
        for each in models:
            del each.get_config


def _complete_config(model: keras.Model) -> dict[str, Any]:
    return complete_model_config(model, type(model).get_config(model))


def layers_of_both(model: keras.Model, new: keras.Model) -> list[tuple[Any, Any]]:
    """List the layers that a model and its copy have themselves in pairs, before gates come in."""
    both = (graph.all_layers(each, recursive=False) for each in (model, new))
    # What they share needs no copy.
    return [(mine, its) for mine, its in zip(*both, strict=True) if mine is not its]


def _parts(model: keras.Model) -> list[keras.layers.Layer]:
    parts: list[keras.layers.Layer] = [model]
    for layer in graph.all_layers(model, recursive=False):
        parts += _parts(layer) if graph.has_graph(layer) else [layer]
    return parts


def _compile_alike(model: Any, new: Any) -> None:
    """Give the copy of a language model of `keras_hub` the way in which it picks its next word."""
    sampler = getattr(model, "sampler", None)
    if sampler is not None:
        new.compile(sampler=type(sampler).from_config(sampler.get_config()))


def _no_copy(model: keras.Model, error: Exception) -> ValueError:
    kind = type(model).__name__
    return ValueError(
        f"Model {model.name!r} ({kind}) cannot be copied as what it is: its `get_config` must "
        "return the arguments that its constructor makes the same layers of. A plain model without "
        "what its class adds is `keras.Model(model.inputs, model.outputs)`. "
        f"Received: {type(error).__name__}: {error}"
    )
