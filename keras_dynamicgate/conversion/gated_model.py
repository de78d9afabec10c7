"""`GatedModel`: a model of a class of its own, such as a task model of keras_hub, with gates."""

import functools
from collections.abc import Iterator
from typing import Any

import keras

from keras_dynamicgate import graph
from keras_dynamicgate.conversion.configs import complete_model_config
from keras_dynamicgate.conversion.gated_composite import GatedComposite
from keras_dynamicgate.conversion.places import exchange_layer, layer_at
from keras_dynamicgate.graph.own_class import (
    builds_its_graph,
    each_path_once,
    exchange_operation,
)


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
class GatedModel:
    """What the class of a model is mixed with where some of its layers have gates.

    The class of the model makes its layers itself and knows nothing of gates. So this class adds
    them to the config, and puts them back in when a model is made of it. The model is an instance
    of the class that it was; only Keras's files call it by another one.
    """

    _gated: tuple[str, ...]

    def get_config(self) -> dict[str, Any]:
        with each_path_once(self):
            config = complete_model_config(self, super().get_config())  # type: ignore[misc]
        (plain,) = type(self).__bases__[1:]
        serialized = keras.saving.serialize_keras_object
        layers = {address: serialized(_layer_at(self, address)) for address in self._gated}
        gated = {
            "module": plain.__module__,
            "class_name": plain.__name__,
            "registered_name": keras.saving.get_registered_name(plain),
            "layers": layers,
        }
        return {**config, "gated": gated}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.Model:
        config = dict(config)
        plain = dict(config.pop("gated"))
        layers = plain.pop("layers")
        model = keras.saving.deserialize_keras_object({**plain, "config": config})
        put_gates(
            model,
            {
                address: _deserialize(_operation_at(model, address).name, layer)
                for address, layer in layers.items()
            },
        )
        return model


def _deserialize(name: str, layer: dict[str, Any]) -> keras.layers.Layer:
    # Without the scope, the weights of all blocks of a model would have the same paths.
    with keras.name_scope(name):
        return keras.saving.deserialize_keras_object(layer)


def addresses(model: keras.Model) -> Iterator[tuple[str, keras.Operation]]:
    """List what the graph of a model calls, by strings that mean the same in another of its kind.

    Names do not: Keras numbers the layers that were given none. Models inside are opened, unless
    their class makes their graph: those keep gates of their own.

    Args:
        model: A built Sequential or Functional model.

    Returns:
        Iterator over pairs of address, such as `"3"` or `"2/1"`, and operation.
    """
    calls = dict.fromkeys(node.operation for node in graph.nodes(graph.functional(model)))
    for number, operation in enumerate(calls):
        if graph.has_graph(operation) and not builds_its_graph(operation):
            for address, inner in addresses(operation):
                yield f"{number}/{address}", inner
        else:
            yield str(number), operation


def put_gates(model: keras.Model, gated: dict[str, keras.layers.Layer]) -> None:
    """Put gated layers in the places of some layers of a model.

    Args:
        model: A built model that `builds_its_graph`. It is changed and becomes a `GatedModel`.
        gated: Dict from an address in it to the layer that comes there; `"3:dense"` is that of the
            layer at `dense` inside the composite layer at `"3"`.
    """
    operations = dict(addresses(model))
    inside: dict[str, dict[str, keras.layers.Layer]] = {}
    for address, layer in gated.items():
        outer, _, path = address.partition(":")
        inside.setdefault(outer, {})[path] = layer
    for outer, layers in inside.items():
        old = operations[outer]
        holders = graph.all_layers(model, include_self=True)
        new = layers[""] if "" in layers else GatedComposite(old, layers)
        exchange_layer(holders, old, new)
        exchange_operation(model, old, new)
    if not isinstance(model, GatedModel):
        plain: Any = type(model)
        model.__class__ = _gated_class(plain)
        model._gated = ()
    model._gated = (*model._gated, *gated)


@functools.cache
def _gated_class(plain: Any) -> Any:
    """Make the class of the gated models of a class, of the same name."""
    kind = type(plain.__name__, (GatedModel, plain), {"__module__": plain.__module__})
    register = keras.saving.register_keras_serializable("keras_dynamicgate", "GatedModel")
    register(kind)
    # Files are to name one class, which all of them are made by.
    register(GatedModel)
    return kind


def _operation_at(model: keras.Model, address: str) -> keras.Operation:
    outer, _, _ = address.partition(":")
    operations = dict(addresses(model))
    if outer not in operations:
        raise ValueError(
            f"Model {model.name!r} ({type(model).__name__}) must call a layer at {outer!r}, as it "
            f"did when that was gated. Received: a model with {list(operations)}"
        )
    return operations[outer]


def _layer_at(model: keras.Model, address: str) -> keras.layers.Layer:
    outer, _, path = address.partition(":")
    operation = _operation_at(model, outer)
    return layer_at(operation.composite, path) if path else operation
