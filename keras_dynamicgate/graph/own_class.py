"""Models of a class with a constructor of its own, and other layers in the places of theirs."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import keras
from keras.src.models.functional import functional_like_constructor

from keras_dynamicgate.graph.state import all_layers, forget_parameters, track_instead
from keras_dynamicgate.graph.walk import has_graph


def builds_its_graph(model: keras.layers.Layer) -> bool:
    """Tell whether a model has a graph that its class makes from other arguments.

    A task model of `keras_hub` does. One that is made of inputs and outputs or of a list of layers
    does not, whatever its class.
    """
    if not has_graph(model) or type(model) is keras.Sequential:
        return False
    if isinstance(model, keras.Sequential):
        return type(model).__init__ is not keras.Sequential.__init__
    return not functional_like_constructor(type(model))


def exchange_operation(
    model: keras.Model, old: keras.layers.Layer, new: keras.layers.Layer
) -> None:
    """Make a layer take the place of another one in the graph of a model and of those inside it.

    The tensors of the graph stay the same objects, so that whoever holds one still finds its way.

    Args:
        model: A built Sequential or Functional model. It is changed.
        old: A layer that it calls.
        new: The layer that is called instead; it is built if it is not.
    """
    calls = old._inbound_nodes
    if not new.built:
        new(*calls[0].arguments.args, **calls[0].arguments.kwargs)
    for call in calls:
        call.operation = new
        for tensor in call.outputs:
            tensor._keras_history = tensor._keras_history._replace(operation=new)
    new._inbound_nodes, old._inbound_nodes = calls, []
    for each in filter(has_graph, all_layers(model, include_self=True)):
        _exchange_in_lists(each, old, new)


@contextlib.contextmanager
def each_path_once(model: keras.Model) -> Iterator[None]:
    """Let a model list one layer a path, as classes expect that note by path what is quantized.

    Args:
        model: A model with layers that have the path of the Keras layer inside them.
    """
    model._flatten_layers = functools.partial(_first_of_each_path, model)
    try:
        yield
    finally:
        del model._flatten_layers


def _first_of_each_path(model: keras.Model, **options: Any) -> list[keras.layers.Layer]:
    found: dict[str, keras.layers.Layer] = {}
    for layer in type(model)._flatten_layers(model, **options):
        found.setdefault(layer.path, layer)
    return list(found.values())


def _exchange_in_lists(model: Any, old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Name the new layer where a model or its graph lists what it is made of."""
    if isinstance(model, keras.Sequential):
        model._layers = [new if layer is old else layer for layer in model._layers]
        model = model._functional
    for operations in (model._operations, *model._operations_by_depth.values()):
        operations[:] = [new if operation is old else operation for operation in operations]
    track_instead(model, old, new)
    forget_parameters(model)
