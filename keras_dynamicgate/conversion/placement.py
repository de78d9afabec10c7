"""Where static gates close most: behind the normalisation and activation of their layer.

Right behind a convolution, a closed channel is 0, but what `BatchNormalization` makes of it is
another constant, which padding then lets differ at the border. Behind the last layer that keeps
channels apart, it is 0 for all that read it, and all layers before leave the channel out.
"""

from collections.abc import Sequence
from typing import Any

import keras

from keras_dynamicgate import graph
from keras_dynamicgate.conversion.survey import GATED
from keras_dynamicgate.graph.element_wise import is_feature_wise, keeps_zero
from keras_dynamicgate.graph.layer_types import IDENTITIES, POOLING, by_name, is_on_last_axis
from keras_dynamicgate.graph.own_class import builds_its_graph

ACTIVATIONS = by_name(None, "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU")
DEPTHWISE = by_name(None, "DepthwiseConv1D", "DepthwiseConv2D")
# A gate on either side of these closes the same.
PASSED = by_name(None, *IDENTITIES, *POOLING)


class _Chain:
    """The layers behind a layer that keep its features apart and that nothing else reads."""

    def __init__(self) -> None:
        self.last: graph.Node | None = None  # the one that a gate had better stand behind
        self.shifts = False  # whether a closed feature of the layer is not 0 any more

    def add(self, operation: keras.layers.Layer, node: graph.Node) -> None:
        if type(operation) in PASSED:
            return
        activation = getattr(operation, "activation", None)
        if type(operation) not in ACTIVATIONS or not keeps_zero(activation):
            self.shifts = True
        if self.shifts:
            self.last = node


def places_behind(model: keras.Model) -> dict[int, graph.Node]:
    """Find the places of static gates that stand apart from their layers.

    Args:
        model: A built Sequential or Functional model; models inside it are followed.

    Returns:
        Dict from the `id` of a layer to the call, later in the same graph, behind which its gate
        belongs. Layers whose gate had better act right behind them are left out.
    """
    chains: dict[int, list[_Chain]] = {}
    _follow(model, chains)
    return {
        layer: found[0].last
        for layer, found in chains.items()
        if len(found) == 1 and found[0].last is not None
    }


def _follow(model: keras.Model, chains: dict[int, list[_Chain]]) -> None:
    if builds_its_graph(model):
        return  # its class knows no layer behind another that it did not put there
    uses = graph.consumers(model)

    def visit(operation: Any, node: graph.Node, args: Any, kwargs: Any) -> Sequence[Any]:
        if graph.has_graph(operation):
            _follow(operation, chains)
        elif type(operation) in GATED:
            chain = _Chain()
            chains.setdefault(id(operation), []).append(chain)
            return [chain]
        elif len(node.input_tensors) == 1 and uses[id(node.input_tensors[0])] == 1:
            leaves = keras.tree.flatten((args, kwargs))
            before = next((leaf for leaf in leaves if isinstance(leaf, _Chain)), None)
            if before is not None and _keeps_apart(operation, node):
                before.add(operation, node)
                return [before]
        return [None] * len(node.outputs)

    graph.walk(model, [None] * len(graph.functional(model).inputs), visit)


def _keeps_apart(operation: Any, node: graph.Node) -> bool:
    """Tell whether an operation makes each feature, the last axis, of the same one before it."""
    kind = type(operation)
    if getattr(operation, "data_format", "channels_last") != "channels_last":
        return False
    if kind in DEPTHWISE:
        return operation.depth_multiplier == 1 and is_feature_wise(operation.activation)
    if kind in ACTIVATIONS:
        return is_feature_wise(getattr(operation, "activation", None))
    if kind is keras.layers.BatchNormalization:
        return is_on_last_axis(operation, len(node.input_tensors[0].shape))
    return kind in PASSED
