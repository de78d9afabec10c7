"""Which layers inside a composite layer, such as a transformer block, are worth a gate."""

import contextlib
import functools
from typing import Any

import keras
from keras import ops

from keras_dynamicgate import graph
from keras_dynamicgate.conversion.gated_composite import GatedComposite
from keras_dynamicgate.gating.cost import Flow
from keras_dynamicgate.gating.openness import GateOpen
from keras_dynamicgate.graph.unfold import unfold
from keras_dynamicgate.macs.cost import ModelCost
from keras_dynamicgate.macs.follow import follow
from keras_dynamicgate.macs.rules import RULES

# For axes of unknown size: where the units of a layer go does not depend on it.
SIZE = 2


def is_composite(layer: keras.layers.Layer) -> bool:
    """Tell whether layers inside a layer may be exchanged, which it does not count as its own."""
    return (
        isinstance(layer, keras.layers.Layer)
        and not isinstance(layer, GatedComposite)
        and type(layer) not in RULES
        and not callable(getattr(layer, "cost", None))
    )


def inside_of(composite: keras.layers.Layer, node: Any) -> graph.Trace | None:
    """Give the inside of a composite layer as a graph, `None` where it cannot be followed.

    Args:
        composite: A built layer.
        node: A call of it in the graph of a model.
    """
    tensors = {
        id(tensor): keras.KerasTensor(
            (1, *(SIZE if size is None else size for size in tuple(tensor.shape)[1:])),
            dtype=tensor.dtype,
        )
        for tensor in node.input_tensors
    }
    return unfold(composite, *node.arguments.fill_in(tensors))


def worth_a_gate(inside: graph.Trace, layers: Any) -> Any:
    """List those layers inside a composite layer whose gates would spare other products work.

    That is where the units of a layer pass nothing but operations on each by itself that keep zeros
    and then are the inputs of another product: the first of the two products of a feed-forward
    block. Of two layers whose outputs are multiplied, as in SwiGLU, the gates on one are enough.

    Args:
        inside: The graph of a composite layer, as `inside_of` gives it.
        layers: List of layers inside it, of types that can be gated.

    Returns:
        List of layers.
    """
    cost = ModelCost()
    flows = [Flow(tuple(tensor.shape)[1:]) for tensor in inside.inputs]
    with _marked(layers):
        follow(inside, flows, cost, owner=inside.name)
    inputs = [product.inputs for product in cost.all_products() if product.inputs is not None]

    def shares(closed: Any) -> Any:
        average = {layer: ops.zeros(1) if layer in closed else ops.ones(1) for layer in layers}
        return [float(ops.convert_to_numpy(opening.share(average))) for opening in inputs]

    chosen: list = []
    for layer in layers:
        if shares([*chosen, layer]) != shares(chosen):
            chosen.append(layer)
    return chosen


@contextlib.contextmanager
def _marked(layers: Any) -> Any:
    """Let layers say in a MAC count that gates of their own close their units."""
    for layer in layers:
        layer.cost = functools.partial(_cost, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.cost


def _cost(layer: keras.layers.Layer, inputs: Any) -> Any:
    # Not by `compute_output_shape`, which may leave a size open that is known.
    outputs = keras.Operation.compute_output_spec(layer, keras.KerasTensor(inputs.full_shape))
    shape = tuple(outputs.shape)[1:]
    counted = RULES[type(layer)](layer, [inputs], shape)
    assert counted is not None  # as of all layers that can be gated
    products, output = counted
    return products, Flow(shape, GateOpen(layer, block_size=1), output.producers)
