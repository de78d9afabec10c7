"""A copy of a model that shares nothing with it, with other layers in the places of some."""

from collections.abc import Collection, Sequence
from typing import Any

import keras

from keras_dynamicgate import graph
from keras_dynamicgate.conversion.configs import (
    complete_config,
    must_be_held,
    unregistered,
    with_complete_config,
    with_live_parts,
)
from keras_dynamicgate.conversion.gated_composite import GatedComposite
from keras_dynamicgate.conversion.gated_model import addresses, put_gates
from keras_dynamicgate.conversion.inside import is_composite
from keras_dynamicgate.conversion.made_anew import layers_of_both, made_anew
from keras_dynamicgate.conversion.places import Place, find_places
from keras_dynamicgate.graph.own_class import builds_its_graph
from keras_dynamicgate.graph.state import copy_lambda, copy_state, copy_trainable, untied
from keras_dynamicgate.layers.gated_layer import GatedLayer


class ModelCopy:
    """Copies a model layer by layer.

    Args:
        replacements: Dict from the `id` of a layer to the unbuilt layer that comes in its place,
            made by `choice.gated_layer`.
            Where the layer is inside a composite layer, that becomes a `GatedComposite`.
        input_gates: Dict from the `id` of a layer to an unbuilt layer that is put in front of it.
        gates_behind: Dict from a call in the graph of the model to an unbuilt layer that is put
            behind it.
    """

    def __init__(
        self,
        replacements: dict[int, keras.layers.Layer],
        input_gates: dict[int, keras.layers.Layer],
        gates_behind: dict[graph.Node, keras.layers.Layer],
    ) -> None:
        self._replacements = replacements
        self._input_gates = input_gates
        self._gates_behind = gates_behind
        self._layers: dict[int, Any] = {}
        self._models: dict[int, Any] = {}
        self._shared: set[int] = set()
        self._opens_models = False

    def copy(self, model: keras.Model) -> keras.Model:
        """Give the copy of a built Sequential or Functional model, with the weights of the model.

        Raises:
            ValueError: If a layer cannot be copied, because its class has no complete config, or
                if weights that are shared would come apart.
        """
        self._find_shared(model)
        new = self._copy_model(model)
        pairs = [pair for layers in self._layers.values() for pair in self._pairs(*layers)]
        for old, other in pairs:
            if id(old) not in self._replacements:
                copy_state(old, other)
        # A frozen model freezes all that is in it, so the models come first, the outer ones last.
        for old, other in (*reversed(self._models.values()), *self._layers.values(), *pairs):
            if other.trainable != old.trainable:
                other.trainable = old.trainable
        for old, other in pairs:
            _copy_trainable(old, other)
        kept = [pair for pair in pairs if id(pair[0]) not in self._replacements]
        apart = untied(kept)
        if apart:
            raise ValueError(
                "Argument `model` must share weights by layers that several layers hold or that "
                "are called several times; other shared weights would come apart in the copy. "
                f"Received: model {model.name!r} with shared weights {apart}"
            )
        return new

    def _find_shared(self, model: keras.Model) -> None:
        """Note the layers that several layers or models hold, such as a tied embedding."""
        holders: dict[int, set[int]] = {}
        graphs: dict[int, set[int]] = {}
        pending, seen = [model], {id(model)}
        while pending:
            inner = pending.pop()
            for operation in {node.operation for node in graph.nodes(graph.functional(inner))}:
                if graph.has_graph(operation):
                    if id(operation) not in seen:
                        seen.add(id(operation))
                        pending.append(operation)
                elif isinstance(operation, keras.layers.Layer):
                    for each in graph.all_layers(operation, include_self=True):
                        holders.setdefault(id(each), set()).add(id(operation))
                        graphs.setdefault(id(each), set()).add(id(inner))
        self._shared = {key for key, several in holders.items() if len(several) > 1}
        # Keras loads a layer that several graphs share as several layers.
        self._opens_models = any(len(several) > 1 for several in graphs.values())

    def _pairs(
        self, old: keras.layers.Layer, new: keras.layers.Layer
    ) -> list[tuple[keras.layers.Layer, keras.layers.Layer]]:
        """List a layer and its copy, and the layers inside both, the outer ones first."""
        if isinstance(new, GatedComposite) and not isinstance(old, GatedComposite):
            new = new.composite
        pairs = [(old, new)]
        if id(old) not in self._replacements:
            inside = (graph.all_layers(layer, recursive=False) for layer in (old, new))
            for mine, its in zip(*inside, strict=True):
                # A model inside with other layers in it is a copy with pairs of its own.
                if id(mine) not in self._models:
                    pairs += self._pairs(mine, its)
        return pairs

    def _copy_model(self, model: keras.Model) -> keras.Model:
        if id(model) not in self._models:
            if builds_its_graph(model):
                self._pair(model, made_anew(model))
                self._gate_in_place(model)
            elif isinstance(model, keras.Sequential):
                self._models[id(model)] = (model, self._copy_sequential(model))
            else:
                self._models[id(model)] = (model, self._copy_graph(model))
        return self._models[id(model)][1]

    def _pair(self, old: keras.layers.Layer, new: keras.layers.Layer) -> None:
        """Note the copy of a layer, or that of a model with all that is in it."""
        if not graph.has_graph(old):
            self._layers.setdefault(id(old), (old, new))
        elif id(old) not in self._models:
            self._models[id(old)] = (old, new)
            copy_state(old, new)
            for pair in layers_of_both(old, new):
                self._pair(*pair)

    def _gate_in_place(self, model: keras.Model) -> None:
        """Put the replacements into the copy of a model whose class makes its graph."""
        gated: dict[str, keras.layers.Layer] = {}
        for address, operation in addresses(model):
            if builds_its_graph(operation):
                self._gate_in_place(operation)
            elif id(operation) in self._replacements:
                gated[address] = self._replacements[id(operation)]
                self._layers[id(operation)] = (operation, gated[address])
            elif is_composite(operation):
                with keras.name_scope(operation.name):
                    for place in _outermost(find_places(operation), self._replacements):
                        gated[f"{address}:{place.path}"] = self._copy_inside(place)
        if gated:
            put_gates(self._models[id(model)][1], gated)

    def _copy_sequential(self, model: keras.Model) -> keras.Model:
        (tensor,) = graph.functional(model).inputs
        layers = [_copy_input(tensor)]
        # In a Sequential model, no layer is called twice.
        behind = {id(node.operation): gate for node, gate in self._gates_behind.items()}
        for layer in model.layers:
            if id(layer) in self._input_gates:
                layers.append(self._input_gates[id(layer)])
            layers.append(self._copy_operation(layer))
            if id(layer) in behind:
                layers.append(behind[id(layer)])
        return type(model)(layers, name=model.name)

    def _copy_graph(self, model: keras.Model) -> keras.Model:
        inputs = [_copy_input(tensor).output for tensor in model.inputs]

        def visit(operation: keras.Operation, node: Any, args: Any, kwargs: Any) -> Any:
            gate = self._input_gates.get(id(operation))
            if gate is not None:
                args, kwargs = keras.tree.map_structure(
                    lambda leaf: gate(leaf) if isinstance(leaf, keras.KerasTensor) else leaf,
                    (args, kwargs),
                )
            if self._opens_models and graph.has_graph(operation):
                leaves = keras.tree.flatten((args, kwargs))
                tensors = [leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)]
                return graph.walk(operation, tensors, visit)
            outputs = self._copy_operation(operation)(*args, **kwargs)
            if node in self._gates_behind:
                outputs = self._gates_behind[node](outputs)
            return keras.tree.flatten(outputs)

        outputs = graph.walk(model, inputs, visit)
        return type(model)(
            keras.tree.pack_sequence_as(model.input, inputs),
            keras.tree.pack_sequence_as(model.output, outputs),
            name=model.name,
        )

    def _copy_operation(self, operation: keras.Operation) -> Any:
        if graph.has_graph(operation):
            return self._copy_model(operation)
        if not isinstance(operation, keras.layers.Layer):
            return type(operation).from_config(operation.get_config())
        if id(operation) not in self._layers:
            new = self._replacements.get(id(operation)) or self._copy_composite(operation)
            self._layers[id(operation)] = (operation, new)
        return self._layers[id(operation)][1]

    def _copy_composite(self, layer: keras.layers.Layer) -> keras.layers.Layer:
        """Copy a layer, with the layers inside it that are replaced or shared with others."""
        inside = find_places(layer) if is_composite(layer) else []
        places = _outermost(inside, {*self._replacements, *self._shared})
        new = _copy_layer(layer)
        if not places and not (inside and must_be_held(layer)):
            return new
        with keras.name_scope(layer.name):  # as in `GatedComposite.from_config`
            gated = {place.path: self._copy_inside(place) for place in places}
        return GatedComposite(new, gated)

    def _copy_inside(self, place: Place) -> keras.layers.Layer:
        """Give what comes in a place inside a composite layer, built."""
        if place.model is not None:
            return self._copy_model(place.model)
        if id(place.layer) not in self._replacements:
            return self._copy_operation(place.layer)
        new = self._replacements[id(place.layer)]
        if not new.built:  # as it is where another composite layer holds it, too
            new.build_from_config(place.layer.get_build_config())
        return new


def _outermost(places: Sequence[Place], chosen: Collection[int]) -> list[Place]:
    """List the places of chosen layers, without those inside other ones: they come with these."""
    found: list[Place] = []
    for place in places:
        within = any(place.path.startswith(f"{outer.path}/") for outer in found)
        if not within and id(place.layer) in chosen:
            found.append(place)
    return found


def _copy_input(tensor: keras.KerasTensor) -> keras.layers.Layer:
    return keras.layers.InputLayer.from_config(graph.input_layer(tensor).get_config())


def _copy_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Copy a layer without its weights."""
    if isinstance(layer, keras.layers.Lambda):
        return copy_lambda(layer)
    config: dict = {}
    try:
        config = complete_config(layer)
        new = type(layer).from_config(with_live_parts(layer, config))
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise _no_copy(layer, unregistered(config), error) from error
    to_build = not new.built and type(layer).build is not keras.layers.Layer.build
    if to_build and layer.weights and layer.get_build_config():
        # It may hold what the config does not, such as the quantization of layers inside.
        new.build_from_config(layer.get_build_config())
    return with_complete_config(new)


def _no_copy(layer: keras.layers.Layer, names: Sequence[str], error: Exception) -> ValueError:
    """Make the error for a layer whose config does not lead to a copy."""
    subject = f"Layer {layer.name!r} ({type(layer).__name__}) cannot be copied"
    if names:
        return ValueError(
            f"{subject}: Keras must know each function and class in its config by its name. Put "
            "`@keras.saving.register_keras_serializable()` in front of them. "
            f"Received: {', '.join(names)}"
        )
    return ValueError(
        f"{subject}. Give its class a method `get_config` that returns all constructor arguments. "
        f"Received: {type(error).__name__}: {error}"
    )


def _copy_trainable(layer: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Freeze the weights of a copy that are frozen one by one."""
    if isinstance(new, GatedLayer) and not isinstance(layer, GatedLayer):
        (new,) = new.dense_layers
    copy_trainable(layer, new)
