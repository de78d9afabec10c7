"""The products of a model, and which of their inputs and outputs its gates close."""

import dataclasses
import inspect
from collections.abc import Sequence

import keras
import numpy as np

from keras_dynamicgate import graph
from keras_dynamicgate.gating.cost import Flow, Product
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.openness import Averages, Masks
from keras_dynamicgate.graph.unfold import at_sizes, unfold
from keras_dynamicgate.macs.operations import Arguments, Keywords, flows_in, rule_of
from keras_dynamicgate.macs.rules import RULES, TENSOR_ARGUMENTS, Cost
from keras_dynamicgate.utils.types import Inputs, PartialShape, Shape, Tensor


@dataclasses.dataclass
class ModelCost:
    """The products of a model, by the name of the layer that computes them.

    Attributes:
        products: Dict from layer name to its list of products, in the order of the model.
        gates: Dict from layer name to the `Gate` of the layer, for gated layers.
        not_counted: Names and types of the layers that no rule covers.
    """

    products: dict[str, list[Product]] = dataclasses.field(default_factory=dict)
    gates: dict[str, Gate] = dataclasses.field(default_factory=dict)
    not_counted: list[str] = dataclasses.field(default_factory=list)

    def add(self, name: str, products: Sequence[Product]) -> None:
        """Add products under the name of a layer; a gated layer is listed even without any."""
        if products or name in self.gates:
            self.products.setdefault(name, []).extend(products)

    def add_gate(self, name: str, layer: keras.layers.Layer) -> None:
        """Add the gate of a layer.

        Raises:
            ValueError: If the gate is there already: the model calls the layer more than once.
        """
        if layer.gate in self.gates.values():
            raise ValueError(
                f"Gated layer {layer.name!r} is called more than once in the model, and what its "
                "gates decide differs from call to call. Give each call a layer of its own. "
                f"Received: layer of type {type(layer).__name__}"
            )
        self.gates[name] = layer.gate

    def leave_out(self, name: str, operation: keras.Operation) -> None:
        """Note a layer or operation as not counted."""
        entry = f"{name} ({type(operation).__name__})"
        if entry not in self.not_counted:
            self.not_counted.append(entry)

    def all_products(self) -> list[Product]:
        """List the products of all layers."""
        return [product for products in self.products.values() for product in products]

    def dense(self) -> int:
        """Sum the multiply-accumulates per sample with everything open, without gate networks."""
        return sum(product.macs for product in self.all_products() if not product.of_gate)

    def per_sample(self, masks: Masks) -> tuple[np.ndarray, np.ndarray]:
        """Give the executed and the gate multiply-accumulates of each sample.

        Args:
            masks: Dict from `Gate` to its masks, of shape `(samples or 1, ..., gates)`.

        Returns:
            Two arrays of shape `(samples or 1,)`; 1 where all samples run the same.
        """
        executed, of_gates = np.zeros(1), np.zeros(1)
        for product in self.all_products():
            if product.of_gate:
                of_gates = of_gates + product.executed_per_sample(masks)
            else:
                executed = executed + product.executed_per_sample(masks)
        return executed, of_gates

    def relative_on_average(self, averages: Averages) -> Tensor:
        """Give the relative MACs, a tensor, for the average openness of each gate.

        Different gates count as independent of each other.

        Args:
            averages: Dict from `Gate` to a tensor of shape `(gates,)` with numbers from 0 to 1.
        """
        macs = sum(product.executed_on_average(averages) for product in self.all_products())
        return macs / max(self.dense(), 1)


def model_cost(model: keras.Model, x: Inputs = None) -> ModelCost:
    """Follow a model's graph and state what every layer costs.

    Args:
        model: A built Sequential or Functional model; models inside it are followed, too.
        x: Inputs as for `model.predict`, for the sizes that the model leaves open. Defaults to
            `None`.

    Returns:
        A `ModelCost`.

    Raises:
        ValueError: If the model is not built, is subclassed, has an axis of unknown size or calls
            a gated layer more than once.
    """
    cost = ModelCost()
    shapes = [tuple(tensor.shape)[1:] for tensor in graph.functional(model).inputs]
    if x is not None and any(None in shape for shape in shapes):
        arrays = [np.shape(array) for _, _, array in graph.pair_inputs(model, x, "x")]
        shapes = [
            tuple(given if size is None else size for size, given in zip(*pair, strict=False))
            for pair in zip(shapes, (shape[1:] for shape in arrays), strict=True)
        ]
    flows = [Flow(_known_shape((None, *shape), model)) for shape in shapes]
    follow(at_sizes(model, [flow.shape for flow in flows]), flows, cost)
    return cost


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
        sizes = [flow.shape for flow in flows]
        if isinstance(operation, keras.Model) and graph.has_graph(operation):
            return follow(at_sizes(operation, sizes), flows, cost, name + "/")
        shapes = [_known_shape(tensor.shape, model) for tensor in node.outputs]
        if is_layer:
            counted = _cost_of_layer(operation, name, args, kwargs, flows, shapes[0], cost)
        else:
            counted = _cost_of_operation(operation, node, args, kwargs, flows, shapes[0])
        if counted is not None:
            products, output = counted
            cost.add(name, products)
            return [output, *map(Flow, shapes[1:])]
        inside = unfold(operation, node, sizes) if is_layer else None
        if inside is None:
            cost.leave_out(name, operation)
            return list(map(Flow, shapes))
        outputs = follow(inside, flows, cost, name + "/", owner=name)
        return [flow or Flow(shape) for flow, shape in zip(outputs, shapes, strict=True)]

    return graph.walk(model, inputs, visit)


def _cost_of_layer(
    layer: keras.layers.Layer,
    name: str,
    args: Arguments,
    kwargs: Keywords,
    flows: Sequence[Flow],
    shape: Shape,
    cost: ModelCost,
) -> Cost | None:
    """Give the products and output flow of a layer, or `None` if it is unknown."""
    if callable(getattr(layer, "cost", None)):
        if getattr(layer, "gate", None) is not None:
            cost.add_gate(name, layer)
        products, output = layer.cost(flows[0])
        return products, output
    if type(layer) in TENSOR_ARGUMENTS:
        given = inspect.signature(layer.call).bind(*args, **kwargs).arguments
        named = [given.get(argument) for argument in TENSOR_ARGUMENTS[type(layer)]]
        flows = [flow for flow in named if isinstance(flow, Flow)]
    return RULES[type(layer)](layer, flows, shape) if type(layer) in RULES else None


def _cost_of_operation(
    operation: keras.Operation,
    node: graph.Node,
    args: Arguments,
    kwargs: Keywords,
    flows: Sequence[Flow],
    shape: Shape,
) -> Cost | None:
    """Give the products and output flow of an operation that is no layer, `None` if unknown."""
    rule = rule_of(operation)
    if rule is None or _mixes_samples(operation, node, flows):
        return None
    return rule(operation, args, kwargs, shape)


def _mixes_samples(operation: keras.Operation, node: graph.Node, flows: Sequence[Flow]) -> bool:
    """Tell whether the first axis that an operation gives is not that of the samples."""
    one = {
        id(tensor): keras.KerasTensor((1, *flow.shape), dtype=tensor.dtype)
        for tensor, flow in zip(node.input_tensors, flows, strict=True)
    }
    args, kwargs = node.arguments.fill_in(one)
    try:
        outputs = keras.tree.flatten(operation.compute_output_spec(*args, **kwargs))
    except ValueError:  # where an operation before it has mixed them
        return True
    return any(tuple(output.shape)[:1] != (1,) for output in outputs)


def _known_shape(shape: PartialShape, model: graph.Graph) -> Shape:
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
