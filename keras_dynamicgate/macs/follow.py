"""Follow a graph and add up what each layer and operation in it costs."""

import dataclasses
import inspect
import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_dynamicgate import graph
from keras_dynamicgate.gating.cost import Flow
from keras_dynamicgate.graph.calls import Call, calls_inside
from keras_dynamicgate.graph.unfold import around, at_sizes, unfold
from keras_dynamicgate.macs.cost import ModelCost
from keras_dynamicgate.macs.operations import Arguments, Keywords, flows_in, rule_of
from keras_dynamicgate.macs.products import Cost
from keras_dynamicgate.macs.rules import RULES, TENSOR_ARGUMENTS
from keras_dynamicgate.utils.types import PartialShape, Shape


def follow(
    model: graph.Graph,
    inputs: Sequence[Flow],
    cost: ModelCost,
    prefix: str = "",
    owner: str | None = None,
) -> list[Flow | None]:
    """Add what a graph costs to a `ModelCost`.

    Args:
        model: A built Sequential or Functional model or a `Trace`.
        inputs: The `Flow` of each input.
        cost: The `ModelCost`.
        prefix: String in front of the names of layers. Defaults to `""`.
        owner: Name of the layer whose inside the graph is. Operations that are no layers count
            under this name. Defaults to `None`, for a model.

    Returns:
        List of the `Flow` of each output, `None` for one that depends on no input.
    """
    uses = graph.consumers(model)

    def visit(
        operation: keras.Operation, node: graph.Node, args: Arguments, kwargs: Keywords
    ) -> Sequence[Flow | None]:
        flows = flows_in(args, kwargs)
        for flow, tensor in zip(flows, node.input_tensors, strict=True):
            if uses[id(tensor)] > 1:
                flow.producers = ()
        is_layer = isinstance(operation, keras.layers.Layer)
        name = prefix + operation.name if is_layer or owner is None else owner
        values = dict(zip(map(id, node.input_tensors), _symbolic(node, flows), strict=True))
        symbolic = node.arguments.fill_in(values)
        outputs = [tuple(tensor.shape) for tensor in node.outputs]
        return follow_call(operation, name, (args, kwargs), symbolic, outputs, model, cost)

    return graph.walk(model, inputs, visit)


def follow_call(
    operation: keras.Operation,
    name: str,
    arguments: tuple[Arguments, Keywords],
    symbolic: tuple[Arguments, Keywords],
    outputs: Sequence[PartialShape],
    model: graph.Graph,
    cost: ModelCost,
) -> Sequence[Flow | None]:
    """Add what one call of a layer or operation costs to a `ModelCost`.

    Args:
        operation: The layer or operation.
        name: The name that it counts under.
        arguments: The arguments and keyword arguments of the call, with flows in the places of
            tensors.
        symbolic: The same with symbolic tensors of known sizes.
        outputs: The shape of each output in the graph, with the batch axis.
        model: The graph that the call is in.
        cost: The `ModelCost`.

    Returns:
        List of the `Flow` of each output.
    """
    if name in cost.whole:
        arguments = keras.tree.map_structure(_all_open, arguments)
    args, kwargs = arguments
    flows = flows_in(args, kwargs)
    if isinstance(operation, keras.Model) and graph.has_graph(operation):
        sizes = at_sizes(operation, [flow.full_shape for flow in flows])
        return follow(sizes, flows, cost, name + "/")
    shapes = _output_shapes(model, operation, outputs, flows, symbolic)
    if shapes is None:
        cost.leave_out(name, operation, 0, ())
        return [Flow(known_shape(shape, model)) for shape in outputs]
    if any(shape[:1] != (cost.samples,) for shape in shapes):
        cost.folds = True
    if isinstance(operation, keras.layers.Layer):
        found = _layer(operation, name, args, kwargs, symbolic, shapes[0], cost)
    else:
        found = _operation(operation, name, args, kwargs, shapes[0], cost)
    if name in cost.whole:
        for product in cost.products.get(name, ()):
            product.inputs = product.outputs = None
        found = [flow and dataclasses.replace(flow, producers=()) for flow in found]
    # What is said of fewer outputs than there are is said of the first ones.
    found = [*found, *[None] * len(shapes)][: len(shapes)]
    return [_shaped(flow, shape, flows) for flow, shape in zip(found, shapes, strict=True)]


def _all_open(leaf: Any) -> Any:
    return Flow(leaf.shape, rows=leaf.rows) if isinstance(leaf, Flow) else leaf


def open_up(
    layer: keras.layers.Layer,
    name: str,
    args: Arguments,
    kwargs: Keywords,
    flows: Sequence[Flow],
    shape: Shape,
    cost: ModelCost,
    prefix: str,
) -> Sequence[Flow | None]:
    """Add what a layer without a rule costs by what its `call` does.

    Args:
        layer: A built layer or subclassed model.
        name: Its name.
        args: The arguments of its call, with symbolic tensors.
        kwargs: The keyword arguments, likewise.
        flows: The `Flow` of each tensor in the call.
        shape: The shape of its (first) output, with the batch axis.
        cost: The `ModelCost`.
        prefix: String in front of the names of the layers inside.

    Returns:
        List of the `Flow` of each output, as far as they are known.
    """
    inside = unfold(layer, args, kwargs)
    if inside is not None:
        return follow(inside, flows, cost, prefix, owner=name)
    # Its own operations are not seen, only the layers that it calls.
    calls = calls_inside(layer, args, kwargs)
    # A look-up of rows costs no product, whatever the size of its table.
    tables = [each for each in graph.all_layers(layer) if isinstance(each, keras.layers.Embedding)]
    below = [each for inner in (*(call.layer for call in calls), *tables) for each in inner.weights]
    cost.leave_out(name, layer, _kernels(layer.weights, below), shape)
    if isinstance(layer, keras.layers.RNN) and calls:
        # Backends differ in how often they run the cell to see what it does.
        step = ModelCost(samples=cost.samples)
        _called(calls[0], prefix, step)
        cost.add_repeated(step, flows[0].shape[0])
        return []
    for call in calls:
        _called(call, prefix, cost)
    return []


def _called(call: Call, prefix: str, cost: ModelCost) -> None:
    """Add what a call of a layer costs, whatever comes before and after it."""
    args, kwargs = keras.tree.map_structure(_flow, (call.args, call.kwargs))
    name = prefix + call.layer.name
    if graph.has_graph(call.layer):
        flows = flows_in(args, kwargs)
        sizes = at_sizes(call.layer, [flow.full_shape for flow in flows])
        follow(sizes, flows, cost, name + "/")
    else:
        _layer(call.layer, name, args, kwargs, (call.args, call.kwargs), call.shape, cost)


def _flow(leaf: Any) -> Any:
    if not isinstance(leaf, keras.KerasTensor):
        return leaf
    return Flow(tuple(leaf.shape)[1:], rows=(*leaf.shape, 1)[0])


def _layer(
    layer: keras.layers.Layer,
    name: str,
    args: Arguments,
    kwargs: Keywords,
    symbolic: tuple[Arguments, Keywords],
    shape: Shape,
    cost: ModelCost,
) -> Sequence[Flow | None]:
    """Add what a layer costs; give the flows of its outputs, as far as they are known."""
    flows = flows_in(args, kwargs)
    if type(layer) is keras.layers.TimeDistributed:
        return [_repeated(layer, name, flows[0], shape, cost)]
    if callable(getattr(layer, "cost", None)) and getattr(layer, "gate", None) is not None:
        cost.add_gate(name, layer)
    counted = _cost_of_layer(layer, args, kwargs, flows, shape[1:])
    if counted is None:
        return open_up(layer, name, *symbolic, flows, shape, cost, name + "/")
    products, output = counted
    for product in products:
        product.macs *= flows[0].rows
    cost.add(name, products)
    return [output]


def _cost_of_layer(
    layer: keras.layers.Layer,
    args: Arguments,
    kwargs: Keywords,
    flows: Sequence[Flow],
    shape: Shape,
) -> Cost | None:
    """Give the products and output flow of a layer, or `None` if it is unknown."""
    if callable(getattr(layer, "cost", None)):
        products, output = layer.cost(flows[0])
        return products, output
    if type(layer) in TENSOR_ARGUMENTS:
        given = inspect.signature(layer.call).bind(*args, **kwargs).arguments
        named = [given.get(argument) for argument in TENSOR_ARGUMENTS[type(layer)]]
        flows = [flow for flow in named if isinstance(flow, Flow)]
    return RULES[type(layer)](layer, flows, shape) if type(layer) in RULES else None


def _repeated(
    layer: keras.layers.Layer, name: str, flow: Flow, shape: Shape, cost: ModelCost
) -> Flow:
    """Add what `TimeDistributed` costs: its layer at each step."""
    steps, *sizes = flow.shape
    tensor = keras.KerasTensor((flow.rows, *sizes))
    inside = ModelCost(samples=cost.samples)
    step = Flow(tuple(sizes), flow.channels_read(padded=True), rows=flow.rows)
    (output,) = follow(around(layer.layer, tensor), [step], inside, name + "/")
    cost.add_repeated(inside, steps)
    return Flow(shape[1:], None if output is None else output.channels_read(padded=True))


def _operation(
    operation: keras.Operation,
    name: str,
    args: Arguments,
    kwargs: Keywords,
    shape: Shape,
    cost: ModelCost,
) -> Sequence[Flow | None]:
    """Add what an operation that is no layer costs; give the flow of its first output."""
    rule = rule_of(operation)
    counted = None if rule is None else rule(operation, args, kwargs, shape)
    if counted is None:
        cost.leave_out(name, operation, _kernels(keras.tree.flatten((args, kwargs))), shape)
        return []
    products, output = counted
    cost.add(name, products)
    return [output]


def _kernels(values: Sequence[Any], but: Sequence[Any] = ()) -> int:
    """Count the numbers in the matrices among some values."""
    left_out = set(map(id, but))
    kernels = {
        id(value): math.prod(value.shape)
        for value in values
        if not isinstance(value, Flow) and len(getattr(value, "shape", ())) > 1
    }
    return sum(size for key, size in kernels.items() if key not in left_out)


def _symbolic(node: graph.Node, flows: Sequence[Flow]) -> list[keras.KerasTensor]:
    return [
        keras.KerasTensor(flow.full_shape, dtype=tensor.dtype)
        for tensor, flow in zip(node.input_tensors, flows, strict=True)
    ]


def _output_shapes(
    model: graph.Graph,
    operation: keras.Operation,
    shapes: Sequence[PartialShape],
    flows: Sequence[Flow],
    symbolic: tuple[Arguments, Keywords],
) -> list[Shape] | None:
    """Give the shapes of the outputs of a call, with the batch axis, `None` if it fails."""
    if isinstance(model, graph.Trace):
        return list(shapes)
    if isinstance(operation, keras.layers.Layer):
        return [(flows[0].rows, *known_shape(shape, model)) for shape in shapes]
    # A model does not know the size of its batch axis, into which others may be folded.
    args, kwargs = symbolic
    try:
        outputs = keras.tree.flatten(operation.compute_output_spec(*args, **kwargs))
    except ValueError:  # It takes batches of another size.
        return None
    return [known_shape((None, *output.shape), model) for output in outputs]


def _shaped(flow: Flow | None, shape: Shape, inputs: Sequence[Flow]) -> Flow:
    """Give the flow of an output, all open where the batch axis is not that of the inputs."""
    rows = (*shape, 1)[0]
    if flow is None or any(each.rows != rows for each in inputs):
        return Flow(shape[1:], rows=rows)
    flow.rows = rows
    return flow


def known_shape(shape: PartialShape, model: graph.Graph) -> Shape:
    """Give a shape without its batch axis.

    Raises:
        ValueError: If a size in it is unknown.
    """
    sizes = tuple(shape)[1:]
    known = tuple(size for size in sizes if size is not None)
    if known != sizes:
        raise ValueError(
            f"The cost of model {model.name!r} depends on an axis of unknown size. Give "
            "`count_macs` inputs `x`, whose sizes it takes, or call the model on inputs of fixed "
            "sizes and build a model of that: `inputs = keras.Input((100, 40))`, "
            f"`keras.Model(inputs, model(inputs))`. Received: shape={sizes}"
        )
    return known
