"""A layer that adds up weighted outputs of a layer inside it, with the sum computed otherwise."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_dynamicgate.graph.state import all_layers
from keras_dynamicgate.graph.unfold import producers, without_a_trace
from keras_dynamicgate.graph.view import View
from keras_dynamicgate.graph.walk import Node

# From what the inner layer was called on to the shape and dtype of its outputs, or to `None` where
# it is to run as it does.
Spec = Callable[[Any], keras.KerasTensor | None]


def with_weighted_sum(
    layer: keras.layers.Layer,
    inner: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    spec: Spec,
    compute: Callable[[Any, Any], Any],
) -> Any:
    """Call a layer whose inner layer does not run; the weighted sum of its outputs is given.

    The layer's own `call` runs with a symbolic tensor in the place of the inner layer's outputs.
    What does not depend on these is computed, what does is recorded: their product with weights,
    the sum of that over the first axis, and what is done with the sum. Then the sum is put in.

    Args:
        layer: A built layer. It stays as it was.
        inner: Name of the attribute that holds the inner layer, which gives outputs of shape
            `(parts, rows, features)`.
        args: The arguments of the call.
        kwargs: Its keyword arguments.
        spec: Function from what the inner layer is called on to a symbolic tensor like its outputs,
            or to `None` where it is to run as it does.
        compute: Function from what the inner layer is called on and the weights, of shape
            `(parts, rows)`, to the sum, of shape `(rows, features)`.

    Returns:
        What the layer returns.

    Raises:
        ValueError: If the layer does something else with the outputs of the inner layer.
    """
    calls: list[tuple[Any, keras.KerasTensor]] = []

    def stand_in(inputs: Any) -> Any:
        symbolic = spec(inputs)
        if symbolic is None:
            return getattr(layer, inner)(inputs)
        calls.append((inputs, symbolic))
        return symbolic

    with without_a_trace(all_layers(layer)):
        view = View(layer, {inner: stand_in})
        outputs = type(layer).call(view, *args, **kwargs)
        if not calls:
            return outputs
        if len(calls) > 1:
            raise ValueError(f"it calls {inner!r} {len(calls)} times")
        return _filled_in(outputs, *calls[0], compute)


def _filled_in(
    outputs: Any, inputs: Any, symbolic: keras.KerasTensor, compute: Callable[[Any, Any], Any]
) -> Any:
    """Give the outputs of a layer with values in the places of symbolic tensors."""
    leaves = keras.tree.flatten(outputs)
    nodes = producers([leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)])
    product, total, weights = _product_and_sum(nodes, symbolic)
    values = {id(total.outputs[0]): compute(inputs, weights)}
    for node in nodes:
        if node in (product, total):
            continue
        if isinstance(node.operation, keras.layers.Layer):
            raise ValueError(f"it calls layer {node.operation.name!r} on the sum")
        given, named = node.arguments.fill_in(values)
        made = keras.tree.flatten(node.operation(*given, **named))
        values.update(zip(map(id, node.outputs), made, strict=True))
    filled = [values[id(leaf)] if isinstance(leaf, keras.KerasTensor) else leaf for leaf in leaves]
    return keras.tree.pack_sequence_as(outputs, filled)


def _product_and_sum(nodes: list[Node], symbolic: keras.KerasTensor) -> tuple[Node, Node, Any]:
    """Find the product with weights, its sum over the first axis, and the weights."""
    product = _only_consumer(nodes, symbolic, "Multiply")
    (weights,) = (
        leaf
        for leaf in keras.tree.flatten((product.arguments.args, product.arguments.kwargs))
        if leaf is not symbolic
    )
    if not ops.is_tensor(weights) or tuple(weights.shape) != (*symbolic.shape[:2], 1):
        raise ValueError("it multiplies them by something else than a weight for each row")
    total = _only_consumer(nodes, product.outputs[0], "Sum")
    if total.operation.axis not in (0, (0,), [0]) or total.operation.keepdims:
        raise ValueError("it does not add them up over the first axis")
    return product, total, weights[:, :, 0]


def _only_consumer(nodes: list[Node], tensor: keras.KerasTensor, operation: str) -> Node:
    # Keras keeps the classes of its operations private, so look them up by name.
    found = [node for node in nodes if any(each is tensor for each in node.input_tensors)]
    if len(found) != 1 or type(found[0].operation).__name__ != operation:
        names = [type(node.operation).__name__ for node in found]
        raise ValueError(f"`{operation}` has to be all that is done with them, and is {names}")
    return found[0]
