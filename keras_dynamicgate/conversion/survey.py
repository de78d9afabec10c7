"""What a model is made of: the layers that can be gated, and where in the model they are."""

import dataclasses
import re
from typing import Any

import keras

from keras_dynamicgate import graph
from keras_dynamicgate.conversion.activated import activated
from keras_dynamicgate.conversion.inside import inside_of, is_composite, worth_a_gate
from keras_dynamicgate.conversion.places import find_places
from keras_dynamicgate.graph.element_wise import is_feature_wise
from keras_dynamicgate.graph.own_class import builds_its_graph
from keras_dynamicgate.layers.dynamic_gate_conv2d import DynamicGateConv2D
from keras_dynamicgate.layers.dynamic_gate_dense import DynamicGateDense
from keras_dynamicgate.macs import operations, products
from keras_dynamicgate.macs.operations import rule_of
from keras_dynamicgate.macs.rules import RULES

GATED = {
    keras.layers.Dense: DynamicGateDense,
    keras.layers.EinsumDense: DynamicGateDense,
    keras.layers.Conv2D: DynamicGateConv2D,
}

# The rules of layers and operations that multiply and add up features, unlike a depthwise
# convolution, which keeps each channel apart.
PRODUCTS = frozenset(
    {
        products.dense,
        products.einsum_dense,
        products.convolution,
        products.transposed_convolution,
        products.separable_convolution,
        products.attention,
        products.additive_attention,
        products.recurrent,
        products.recurrent_convolution,
        operations.matrix_product,
        operations.tensor_product,
        operations.einsum,
        operations.attention,
    }
)

# One contracted axis, the last, and one new one in its place: what `Dense` does.
FEED_FORWARD = re.compile(r"(\.\.\.|[a-zA-Z]+)([a-zA-Z]),\2([a-zA-Z])->\1\3")


@dataclasses.dataclass(eq=False)
class LayerCandidate:
    """A layer of a type that can be gated.

    Attributes:
        name: String, the name of the layer, with the names of the models and layers around it in
            front.
        layer: The Keras layer.
        refusal: String, the reason why it cannot be gated, or `None`.
        reads_inputs: Whether no other layer with weights lies between it and the model's inputs.
        is_head: Whether no layer that makes new features of its own lies between it and an output
            of the model.
        activation: String, the name of the Keras activation that its units go through before they
            close others by a product, as in SwiGLU; `None` if they do not.
    """

    name: str
    layer: keras.layers.Layer
    refusal: str | None
    reads_inputs: bool = True
    is_head: bool = False
    activation: str | None = None


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a tensor comes from.

    Attributes:
        is_input: Whether only layers without weights have changed the model's inputs.
        heads: Each `LayerCandidate` whose features it holds, by themselves or in sums and the like.
    """

    is_input: bool
    heads: frozenset[LayerCandidate] = frozenset()


def survey(model: keras.Model) -> list[LayerCandidate]:
    """List the layers of a model that are of a type that can be gated, in the order of the model.

    Args:
        model: A built Sequential or Functional model; models and composite layers inside it are
            followed.

    Returns:
        List of `LayerCandidate`. A layer that is called several times is listed once.
    """
    candidates: dict[int, LayerCandidate] = {}
    inputs = [Origin(is_input=True) for _ in graph.functional(model).inputs]
    for origin in _follow(model, inputs, candidates, prefix=""):
        for candidate in origin.heads:
            candidate.is_head = True
    return list(candidates.values())


def _follow(
    model: keras.Model, inputs: Any, candidates: dict[int, LayerCandidate], prefix: str
) -> Any:
    def visit(operation: keras.Operation, node: Any, args: Any, kwargs: Any) -> Any:
        origins = [leaf for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, Origin)]
        name = prefix + operation.name
        if graph.has_graph(operation):
            return _follow(operation, origins, candidates, name + "/")
        if type(operation) in GATED:
            new = LayerCandidate(name, operation, _refusal(operation))
            candidate = candidates.setdefault(id(operation), new)
            # Where the class of a model makes its graph, nothing can be put before a layer.
            candidate.reads_inputs &= not builds_its_graph(model) and all(
                origin.is_input for origin in origins
            )
            return [Origin(is_input=False, heads=frozenset({candidate}))]
        for candidate in _inside(operation, node, name):
            candidates.setdefault(id(candidate.layer), candidate)
        return [_pass_on(operation, origins)] * len(node.outputs)

    return graph.walk(model, inputs, visit)


def _inside(operation: keras.Operation, node: Any, name: str) -> Any:
    """List the candidates inside an operation that is a composite layer."""
    if not is_composite(operation):
        return []
    found = [
        LayerCandidate(
            f"{name}/{place.name}", place.layer, _refusal(place.layer), reads_inputs=False
        )
        for place in find_places(operation)
        if type(place.layer) in GATED
    ]
    open_to_gates = [each for each in found if not each.refusal]
    if open_to_gates:
        layers = [each.layer for each in open_to_gates]
        inside = inside_of(operation, node)
        if inside is None:
            return []
        worth, names = worth_a_gate(inside, layers), activated(inside, layers)
        for candidate in open_to_gates:
            candidate.activation = names.get(id(candidate.layer))
            if candidate.layer not in worth:
                candidate.refusal = f"gates on it would spare no other layer in {name!r} any work"
    return found


def _pass_on(operation: keras.Operation, origins: Any) -> Any:
    """Give the origin of what an operation that cannot be gated makes of its inputs."""
    weighted = bool(getattr(operation, "weights", None))
    is_input = all(origin.is_input for origin in origins) and (
        not weighted or isinstance(operation, keras.layers.Normalization)
    )
    if _contracts(operation, origins):
        return Origin(is_input)
    return Origin(is_input, frozenset().union(*(origin.heads for origin in origins)))


def _contracts(operation: keras.Operation, origins: Any) -> bool:
    """Tell whether an operation makes new features, each of many of its inputs."""
    rule = RULES.get(type(operation)) or rule_of(operation)
    if rule is not None:
        return rule in PRODUCTS
    # Such as `Dot`, or a layer of another package: what mixes features has a kernel.
    kernels = [weight for weight in getattr(operation, "weights", ()) if len(weight.shape) > 1]
    return len(origins) > 1 or bool(kernels)


def size(layer: keras.layers.Layer) -> int:
    """Give the number of units or channels of a layer."""
    return layer.kernel.shape[-1]


def _refusal(layer: keras.layers.Layer) -> Any:
    if getattr(layer, "quantization_mode", None) is not None:
        return "it is quantized; gate the model first and quantize it then"
    if not is_feature_wise(layer.activation):
        return "its activation works across units or is not one of Keras's"
    if isinstance(layer, keras.layers.EinsumDense) and not _is_feed_forward(layer):
        return f"its equation {layer.equation!r} is not that of a `Dense`"
    if size(layer) < 2:
        return "it has a single unit"
    return None


def _is_feed_forward(layer: keras.layers.Layer) -> bool:
    found = FEED_FORWARD.fullmatch(layer.equation.replace(" ", ""))
    if found is None:
        return False
    lead, contracted, new = found.groups()
    return contracted != new and not {contracted, new} & {*lead} and layer.bias_axes in (None, new)
