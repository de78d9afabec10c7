"""Layers whose activated units are multiplied by others, as the gate projection of SwiGLU is."""

from typing import Any

import keras

from keras_dynamicgate import graph
from keras_dynamicgate.graph.element_wise import is_element_wise

# By the names of Keras's operations, whose classes are private.
ACTIVATIONS = {"Silu": "silu", "Gelu": "gelu", "Relu": "relu", "Sigmoid": "sigmoid"}


def activated(inside: graph.Trace, layers: Any) -> dict[int, str]:
    """Find the layers whose units go through one activation and then close others by a product.

    Args:
        inside: The graph of a composite layer.
        layers: List of layers in it, of types that can be gated.

    Returns:
        Dict from the `id` of a layer to the name of a Keras activation.
    """
    consumers: dict[int, list[graph.Node]] = {}
    for node in inside.nodes:
        for tensor in node.input_tensors:
            consumers.setdefault(id(tensor), []).append(node)
    found = {}
    for node in inside.nodes:
        if any(node.operation is layer for layer in layers):
            name = _activation_before_product(node, consumers)
            if name is not None:
                found[id(node.operation)] = name
    return found


def _activation_before_product(
    node: graph.Node, consumers: dict[int, list[graph.Node]]
) -> str | None:
    """Give the activation on the way from the outputs of a layer to a product with other units."""
    own = keras.activations.serialize(node.operation.activation)
    name = None if own == "linear" else own
    while True:
        (tensor,) = node.outputs
        following = consumers.get(id(tensor), [])
        if len(following) != 1:
            return None
        (node,) = following
        kind = type(node.operation).__name__
        if kind == "Multiply" and len(node.input_tensors) == 2:
            # An activation in the layer has been through its units when the gates see them.
            return ("linear" if name == own else name) if isinstance(name, str) else None
        if kind in ACTIVATIONS and name is None:
            name = ACTIVATIONS[kind]
        elif kind != "Cast" or not is_element_wise(node.operation):
            return None
