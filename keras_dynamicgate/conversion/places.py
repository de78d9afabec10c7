"""Where a composite layer holds the layers inside it, and others in their places."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from keras_dynamicgate import graph
from keras_dynamicgate.graph.state import forget_parameters, track_instead

# What every layer has; the lists among it hold the same layers once more.
_OF_EVERY_LAYER = frozenset(vars(keras.layers.Layer()))


@dataclasses.dataclass(frozen=True)
class Place:
    """Where in a composite layer a layer is.

    Attributes:
        path: String of attributes, list indices and keys, such as `"blocks/0/dense"`, that leads
            to the layer or to the Sequential or Functional model that it is in.
        name: String, the names of the layers on the way and of the layer, joined by `/`.
        layer: The layer.
        model: The model at the end of the path, or `None`.
    """

    path: str
    name: str
    layer: keras.layers.Layer
    model: keras.Model | None = None


def find_places(composite: keras.layers.Layer) -> list[Place]:
    """List the places of all layers inside a layer, each layer once.

    Args:
        composite: A Keras layer that is no model.

    Returns:
        List of `Place`.
    """
    found: dict[int, Place] = {}

    def visit(holder: Any, path: str, name: str) -> Any:
        for step, _, _, layer in _slots(holder):
            if id(layer) in found:
                continue
            place = Place(f"{path}{step}", f"{name}{layer.name}", layer)
            found[id(layer)] = place
            if graph.has_graph(layer):
                visit_model(layer, place.path, place.name, layer)
            else:
                visit(layer, f"{place.path}/", f"{place.name}/")

    def visit_model(model: keras.Model, path: str, name: str, outermost: bool) -> Any:
        if isinstance(model, keras.Sequential) and not model.built:
            return
        for node in graph.nodes(graph.functional(model)):
            inner, inner_name = node.operation, f"{name}/{node.operation.name}"
            if graph.has_graph(inner):
                visit_model(inner, path, inner_name, outermost)
            elif isinstance(inner, keras.layers.Layer):
                found.setdefault(id(inner), Place(path, inner_name, inner, outermost))

    visit(composite, "", "")
    return list(found.values())


def addresses(composite: keras.layers.Layer) -> Any:
    """Give all layers inside a layer by strings that mean the same layers in a new one of its kind.

    Names do not: Keras numbers the layers that were given none.

    Args:
        composite: A Keras layer that is no model.

    Returns:
        Dict from `path`, with a number for a layer in a Sequential or Functional model, to layer.
    """
    found: dict[str, keras.layers.Layer] = {}
    numbers: Counter[str] = Counter()
    for place in find_places(composite):
        address = place.path
        if place.model is not None:
            address = f"{place.path}:{numbers[place.path]}"
            numbers[place.path] += 1
        found[address] = place.layer
    return found


def layer_at(composite: keras.layers.Layer, path: str) -> keras.layers.Layer:
    """Give the layer or model at a path inside a composite layer.

    Raises:
        ValueError: If there is none.
    """
    places = {place.path: place.layer for place in find_places(composite) if place.model is None}
    if path not in places:
        raise ValueError(
            f"Layer {composite.name!r} ({type(composite).__name__}) must hold a layer at {path!r}, "
            f"as it did when that was gated. Received: a layer with {list(places)}"
        )
    return places[path]


def exchange(composite: keras.layers.Layer, path: str, new: keras.layers.Layer) -> None:
    """Put another layer in the place of one inside a composite layer, wherever it is held.

    Args:
        composite: A Keras layer, built or not.
        path: The `path` of a `Place`.
        new: The layer that comes there.
    """
    holders = graph.all_layers(composite, include_self=True)
    exchange_layer(holders, layer_at(composite, path), new)


def exchange_layer(
    holders: Sequence[keras.layers.Layer], old: keras.layers.Layer, new: keras.layers.Layer
) -> None:
    """Make layers hold another layer where they hold a certain one.

    Args:
        holders: List of layers.
        old: A layer that some of them have in an attribute or in a list or dict that is one.
        new: The layer that comes in its place.
    """
    for holder in holders:
        for _, container, key, layer in list(_slots(holder)):
            if layer is not old:
                continue
            track_instead(holder, old, new)
            if container is holder:
                setattr(holder, key, new)
            else:
                container[key] = new
        forget_parameters(holder)


def _slots(holder: Any) -> Iterator[tuple[str, Any, Any, keras.layers.Layer]]:
    """List the places where a layer itself holds layers: step, container, key and layer."""
    attributes = {**vars(holder), **vars(holder).get("_modules", {})}  # PyTorch's own place
    for name, value in attributes.items():
        # TensorFlow's own places begin so; `_self_attention_layer` is a name that authors give.
        if name in _OF_EVERY_LAYER or name.startswith("_self_unconditional_"):
            continue
        if isinstance(value, keras.layers.Layer):
            yield name, holder, name, value
        elif isinstance(value, (list, dict)):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, each in items:
                if isinstance(each, keras.layers.Layer):
                    yield f"{name}/{key}", value, key, each
