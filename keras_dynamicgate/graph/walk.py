"""Walk through the graph of a Keras model, one operation after the other."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras

from keras_dynamicgate.utils.types import Inputs

# A call of an operation in a graph. Keras keeps the class private.
Node = Any


@dataclasses.dataclass(frozen=True)
class Trace:
    """A graph that is no model: what some calls on symbolic tensors have recorded.

    Attributes:
        name: Name of what was called.
        inputs: The tensors that it was called on.
        outputs: The tensors that it gave, with `None` for one that depends on no input.
        nodes: The calls of operations, producers before their consumers.
    """

    name: str
    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor | None]
    nodes: list[Node]


Graph: TypeAlias = keras.Model | Trace


def functional(model: Graph) -> Graph:
    """Give the functional graph of a Sequential or Functional model; a `Trace` is its own.

    Raises:
        ValueError: If the model is not built or has no graph.
    """
    if isinstance(model, Trace):
        return model
    if isinstance(model, keras.Sequential):
        if not model.built or model._functional is None:
            raise ValueError(
                f"Model {model.name!r} is not built, so its shapes are unknown. Give it a "
                "`keras.Input` as its first layer, or call `model.build(input_shape)`."
            )
        return model._functional
    if has_graph(model):
        return model
    if not isinstance(model, keras.Model):
        raise ValueError(
            "Argument `model` must be a Keras model. "
            f"Received: model of type {type(model).__name__}"
        )
    raise ValueError(
        f"Model {model.name!r} has no graph of layers that could be followed: it is subclassed. "
        "Build it with `keras.Sequential` or the functional API. "
        f"Received: model of type {type(model).__name__}"
    )


def has_graph(model: keras.layers.Layer) -> bool:
    """Tell whether a model is Sequential or Functional."""
    return isinstance(model, keras.Sequential) or hasattr(model, "_nodes_by_depth")


def walk(
    model: Graph,
    inputs: Sequence[Any],
    visit: Callable[[keras.Operation, Node, tuple[Any, ...], dict[str, Any]], Sequence[Any]],
) -> list[Any]:
    """Pass values through the graph of a model.

    Args:
        model: A built Sequential or Functional model, or a `Trace`.
        inputs: Values of any kind, one for each tensor of `model.inputs`.
        visit: Function `visit(operation, node, args, kwargs)` that returns the values of the
            operation's output tensors. `args` and `kwargs` are those of the operation,
            with values in the places of tensors.

    Returns:
        List of the values of `model.outputs`, with `None` for what depends on no input.
    """
    graph = functional(model)
    values = {id(tensor): value for tensor, value in zip(graph.inputs, inputs, strict=True)}
    for node in nodes(graph):
        if node.is_input or any(id(tensor) not in values for tensor in node.input_tensors):
            continue
        args, kwargs = node.arguments.fill_in(values)
        outputs = visit(node.operation, node, args, kwargs)
        values.update(zip(map(id, node.outputs), outputs, strict=True))
    return [None if tensor is None else values[id(tensor)] for tensor in graph.outputs]


def nodes(graph: Graph) -> list[Node]:
    """List the calls of operations in a functional graph, producers before their consumers."""
    if isinstance(graph, Trace):
        return graph.nodes
    # Keras has no public way to do this that leaves the model as it was. `_nodes_by_depth` has been
    # the name since Keras 3.0, and Keras's own cloning uses it.
    return [
        node
        for depth in sorted(graph._nodes_by_depth, reverse=True)
        for node in graph._nodes_by_depth[depth]
    ]


def consumers(model: Graph) -> Counter[int]:
    """Count for each tensor of the model's graph, by `id`, how often it is used.

    An output of the model counts as a use.
    """
    graph = functional(model)
    counts = Counter(id(tensor) for tensor in graph.outputs)
    for node in nodes(graph):
        counts.update(id(tensor) for tensor in node.input_tensors)
    return counts


def input_layer(tensor: keras.KerasTensor) -> keras.layers.InputLayer:
    """Give the layer that an input tensor of a graph comes from."""
    return tensor._keras_history.operation


def pair_inputs(
    model: keras.Model, data: Inputs, argument: str
) -> list[tuple[str, keras.KerasTensor, Any]]:
    """List the name and tensor of each input of a model with its data.

    Args:
        model: A built Sequential or Functional model.
        data: Inputs as for `model.predict`: an array or a list or dict of arrays.
        argument: Name of the caller's argument, for the error.

    Returns:
        List of tuples `(name, tensor, array)`.

    Raises:
        ValueError: If there is not one array for each input.
    """
    graph: keras.Model = functional(model)
    names = [input_layer(tensor).name for tensor in graph.inputs]
    arrays = keras.tree.flatten(data)
    if isinstance(data, dict):
        if isinstance(graph.input, dict):
            names = sorted(graph.input)
        arrays = [data[name] for name in names if name in data]
    if len(arrays) != len(names) or (isinstance(data, dict) and len(data) != len(names)):
        received = list(data) if isinstance(data, dict) else f"{len(arrays)} arrays"
        raise ValueError(
            f"Argument `{argument}` must hold an array for each input of the model: {names}. "
            f"Received: {received}"
        )
    return list(zip(names, graph.inputs, arrays, strict=True))
