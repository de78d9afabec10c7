"""Which layers a layer calls, also where its `call` cannot be recorded as a graph."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
from keras import ops

from keras_dynamicgate import graph
from keras_dynamicgate.graph.unfold import fitting


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a layer inside another one.

    Attributes:
        layer: The layer that was called.
        args: The arguments, with symbolic tensors in the places of tensors.
        kwargs: The keyword arguments, likewise.
        shape: The shape of its (first) output, with the batch axis.
    """

    layer: keras.layers.Layer
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shape: tuple[int, ...]


def calls_inside(
    layer: keras.layers.Layer, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Call]:
    """List the layers that a layer calls itself, in their order.

    The layer runs as the backend traces it, so its `call` may use operations of the backend. What
    these do leaves no trace.

    Args:
        layer: A built layer. It stays as it was.
        args: The arguments of the call, with symbolic tensors of known sizes.
        kwargs: Its keyword arguments, likewise.

    Returns:
        List of `Call`, empty where the layer cannot run without values.
    """
    calls: list[Call] = []
    depth = 0

    def note(inner: keras.layers.Layer, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        nonlocal depth
        depth += 1
        try:
            outputs = call(*args, **kwargs)
        finally:
            depth -= 1
        if depth == 0:
            given, named = keras.tree.map_structure(_symbolic, (args, kwargs))
            first = keras.tree.flatten(outputs)[0]
            calls.append(Call(inner, given, named, tuple(first.shape)))
        return outputs

    inner = graph.all_layers(layer)
    try:
        with watched(inner, note), keras.StatelessScope():
            keras.Operation.compute_output_spec(layer, *args, **fitting(layer, kwargs))
    except Exception:
        # Code of any kind may fail in any way on a tensor without values.
        return []
    return calls


def _symbolic(leaf: Any) -> Any:
    return keras.KerasTensor(leaf.shape, dtype=leaf.dtype) if ops.is_tensor(leaf) else leaf


@contextlib.contextmanager
def watched(layers: Iterable[keras.layers.Layer], note: Callable[..., Any]) -> Iterator[None]:
    """Have `note(layer, call, *args, **kwargs)` make the calls of layers in the `with` block."""
    layers = list(layers)
    # Some layers have a `call` of their own that is not that of their class.
    own = {layer: vars(layer)["call"] for layer in layers if "call" in vars(layer)}
    for layer in layers:
        layer.call = functools.partial(note, layer, layer.call)
    try:
        yield
    finally:
        for layer in layers:
            if layer in own:
                layer.call = own[layer]
            else:
                del layer.call
