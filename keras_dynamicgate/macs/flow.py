"""Who consumes whose mask: the products of a model and what is open on both sides of each."""

import dataclasses
import inspect

import keras
import numpy as np

from keras_dynamicgate.gating.cost import Flow, Product
from keras_dynamicgate.macs import graph
from keras_dynamicgate.macs.rules import RULES, TENSOR_ARGUMENTS


@dataclasses.dataclass
class ModelCost:
    """The products of a model, by the name of the layer that computes them.

    Attributes:
        products: Dict from layer name to its list of products, in the order of the model.
        gates: Dict from layer name to the `Gate` of the layer, for gated layers.
        not_counted: Names and types of the layers that no rule covers.
    """

    products: dict[str, list[Product]] = dataclasses.field(default_factory=dict)
    gates: dict = dataclasses.field(default_factory=dict)
    not_counted: list[str] = dataclasses.field(default_factory=list)

    def all_products(self):
        """List the products of all layers."""
        return [product for products in self.products.values() for product in products]

    def dense(self):
        """Sum the multiply-accumulates per sample with everything open, without gate networks."""
        return sum(product.macs for product in self.all_products() if not product.of_gate)

    def per_sample(self, masks):
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

    def relative_on_average(self, averages):
        """Give the relative MACs, a tensor, for the average openness of each gate.

        Different gates count as independent of each other.

        Args:
            averages: Dict from `Gate` to a tensor of shape `(gates,)` with numbers from 0 to 1.
        """
        macs = sum(product.executed_on_average(averages) for product in self.all_products())
        return macs / max(self.dense(), 1)


def model_cost(model) -> ModelCost:
    """Follow a model's graph and state what every layer costs.

    Args:
        model: A built Sequential or Functional model; models inside it are followed, too.

    Returns:
        A `ModelCost`.

    Raises:
        ValueError: If the model is not built, is subclassed, has an axis of unknown size or calls
            a gated layer more than once.
    """
    cost = ModelCost()
    inputs = [Flow(_known_shape(tensor.shape, model)) for tensor in graph.functional(model).inputs]
    _follow(model, inputs, cost, prefix="")
    return cost


def _follow(model, inputs, cost, prefix):
    uses = graph.consumers(model)

    def visit(operation, node, args, kwargs):
        flows = [flow for flow in keras.tree.flatten((args, kwargs)) if isinstance(flow, Flow)]
        for flow, tensor in zip(flows, node.input_tensors, strict=True):
            if uses[id(tensor)] > 1:
                flow.producers = ()
        name = prefix + operation.name
        shapes = [_known_shape(tensor.shape, model) for tensor in node.outputs]
        if isinstance(operation, keras.Model) and graph.has_graph(operation):
            return _follow(operation, flows, cost, name + "/")
        if type(operation) in TENSOR_ARGUMENTS:
            given = inspect.signature(operation.call).bind(*args, **kwargs).arguments
            named = [given.get(argument) for argument in TENSOR_ARGUMENTS[type(operation)]]
            flows = [flow for flow in named if isinstance(flow, Flow)]
        return _count(operation, name, flows, shapes, cost)

    return graph.walk(model, inputs, visit)


def _count(operation, name, flows, shapes, cost):
    """Add the products of one operation and give its output flows."""
    if callable(getattr(operation, "cost", None)):
        products, output = operation.cost(flows[0])
        if getattr(operation, "gate", None) is not None:
            _add_gate(operation, name, cost)
    elif type(operation) in RULES:
        products, output = RULES[type(operation)](operation, flows, shapes[0])
    else:
        entry = f"{name} ({type(operation).__name__})"
        if entry not in cost.not_counted:
            cost.not_counted.append(entry)
        return [Flow(shape) for shape in shapes]
    if products or name in cost.gates:
        cost.products.setdefault(name, []).extend(products)
    return [output, *(Flow(shape) for shape in shapes[1:])]


def _add_gate(layer, name, cost):
    if layer.gate in cost.gates.values():
        raise ValueError(
            f"Gated layer {layer.name!r} is called more than once in the model, and what its gates "
            "decide differs from call to call. Give each call a layer of its own. "
            f"Received: layer of type {type(layer).__name__}"
        )
    cost.gates[name] = layer.gate


def _known_shape(shape, model):
    shape = tuple(shape)[1:]
    if None in shape:
        raise ValueError(
            f"The cost of model {model.name!r} depends on an axis of unknown size. Build it with "
            f"fixed sizes, for example `keras.Input((100, 40))`. Received: shape={shape}"
        )
    return shape
