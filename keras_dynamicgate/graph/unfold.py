"""What a layer does inside, and what a model does at sizes that its inputs leave open."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import keras

from keras_dynamicgate import graph
from keras_dynamicgate.utils.types import Shape


def at_sizes(model: keras.Model, shapes: Sequence[Shape]) -> graph.Graph:
    """Give the graph of a model with inputs of known sizes.

    Args:
        model: A built Sequential or Functional model. It stays as it was.
        shapes: The shape of each input, with the batch axis.

    Returns:
        The graph of the model where all sizes in it are known already, else a `Trace`.
    """
    functional = graph.functional(model)
    made = [tensor for node in graph.nodes(functional) for tensor in node.outputs]
    if not any(None in tuple(tensor.shape)[1:] for tensor in made):
        return functional
    operations = [node.operation for node in graph.nodes(functional)]

    def call(*tensors: keras.KerasTensor) -> list[keras.KerasTensor]:
        return graph.walk(
            functional,
            tensors,
            lambda operation, node, args, kwargs: keras.tree.flatten(operation(*args, **kwargs)),
        )

    tensors = [
        keras.KerasTensor(shape, dtype=tensor.dtype)
        for tensor, shape in zip(functional.inputs, shapes, strict=True)
    ]
    return _record(model.name, operations, call, tensors, _vague(operations))


def around(layer: keras.layers.Layer, tensor: keras.KerasTensor) -> graph.Trace:
    """Give a graph that calls a layer once.

    Args:
        layer: A built layer. It stays as it was.
        tensor: Symbolic tensor of known sizes.
    """
    operations = graph.all_layers(layer, include_self=True)
    return _record(layer.name, operations, layer, [tensor], _vague(operations))


def unfold(
    layer: keras.layers.Layer, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> graph.Trace | None:
    """Give the inside of a layer, as it is called, as a graph of its own.

    The layer's `call` is run on symbolic tensors, on which each inner layer and each operation of
    `keras.ops` leaves a trace. Products of weights alone leave none.

    Args:
        layer: A built layer. It stays as it was.
        args: The arguments of the call, with symbolic tensors of known sizes.
        kwargs: Its keyword arguments, likewise.

    Returns:
        A `Trace`, or `None` where the inside cannot be recorded: the layer's `call` depends on the
        values of tensors, leaves Keras's operations or makes sizes unknown.
    """
    tensors = [
        leaf for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, keras.KerasTensor)
    ]
    kwargs = fitting(layer, kwargs)
    inner = graph.all_layers(layer)
    # Layers of other packages may inherit a `compute_output_spec` for arguments that they lack.
    foreign = {each for each in inner if not type(each).__module__.startswith("keras.")}
    running = _vague(inner) | foreign
    try:
        trace = _record(layer.name, inner, lambda *_: layer.call(*args, **kwargs), tensors, running)
    except Exception:
        # Code of any kind may fail in any way on a tensor without values.
        return None
    made = [tuple(tensor.shape) for each in trace.nodes for tensor in each.outputs]
    return None if any(None in shape for shape in made) else trace


def record(
    layer: keras.layers.Layer, call: Callable[..., Any], tensors: list[keras.KerasTensor]
) -> graph.Trace:
    """Give what a function that belongs to a layer does with symbolic tensors, as a graph.

    Args:
        layer: A built layer. It stays as it was.
        call: Function of tensors that calls layers inside that layer and operations of `keras.ops`.
        tensors: Symbolic tensors of known sizes, the arguments of the function.
    """
    return _record(layer.name, graph.all_layers(layer), call, tensors, ())


def fitting(layer: keras.layers.Layer, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Leave out what Keras itself would not pass on to a layer's `call`."""
    takes = inspect.signature(layer.call).parameters
    if any(each.kind is each.VAR_KEYWORD for each in takes.values()):
        return kwargs
    own = {"training", "mask"}
    return {name: value for name, value in kwargs.items() if name in takes or name not in own}


def _vague(operations: Collection[keras.Operation]) -> set[keras.layers.Layer]:
    """Give the layers that may leave a known size open: `output_shape=(None, 8)`."""
    return {each for each in operations if isinstance(each, keras.layers.EinsumDense)}


def _record(
    name: str,
    operations: Collection[keras.Operation],
    call: Callable[..., Any],
    tensors: list[keras.KerasTensor],
    running: Collection[keras.layers.Layer],
) -> graph.Trace:
    """Record what a call does, with the outputs of the `running` layers shaped by running them."""
    # In a stateless scope neither statistics nor seeds nor losses of the layers change.
    with without_a_trace(operations), _shapes_by_running(running), keras.StatelessScope():
        outputs = [
            leaf if isinstance(leaf, keras.KerasTensor) else None
            for leaf in keras.tree.flatten(call(*tensors))
        ]
        return graph.Trace(name, tensors, outputs, producers(outputs))


@contextlib.contextmanager
def without_a_trace(operations: Collection[keras.Operation]) -> Iterator[None]:
    """Make operations forget the calls inside the `with` block."""
    lists = [nodes for each in operations for nodes in (each._inbound_nodes, each._outbound_nodes)]
    lengths = [len(nodes) for nodes in lists]
    try:
        yield
    finally:
        for nodes, length in zip(lists, lengths, strict=True):
            del nodes[length:]


@contextlib.contextmanager
def _shapes_by_running(layers: Collection[keras.layers.Layer]) -> Iterator[None]:
    """Find the shapes of the outputs of layers by running them, not by what they say."""
    for layer in layers:
        layer.compute_output_spec = functools.partial(keras.Operation.compute_output_spec, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.compute_output_spec


def producers(tensors: Sequence[keras.KerasTensor | None]) -> list[graph.Node]:
    """List the calls that tensors come from, producers before their consumers."""
    ordered: dict[graph.Node, None] = {}
    pending = [_producer(tensor) for tensor in tensors if tensor is not None]
    while pending:
        node = pending[-1]
        if node is None or node in ordered:
            pending.pop()
            continue
        missing = [each for each in node.parent_nodes if each not in ordered]
        pending += missing
        if not missing:
            ordered[node] = None
    return list(ordered)


def _producer(tensor: keras.KerasTensor) -> graph.Node | None:
    history = getattr(tensor, "_keras_history", None)
    if history is None or history.operation is None:
        return None
    return history.operation._inbound_nodes[history.node_index]
