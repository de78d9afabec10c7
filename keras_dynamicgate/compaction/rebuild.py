"""The smaller model: every step anew, on the features that are kept."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate import graph
from keras_dynamicgate.compaction.flat_model import FlatModel, Slot, Step


def rebuild(model: keras.Model, steps: FlatModel) -> keras.Model:
    """Build the model that `analyse` decided on.

    Args:
        model: The original model.
        steps: The `FlatModel` of it, analysed.

    Returns:
        A Functional model with inputs and outputs as the original's.
    """
    original: Any = graph.functional(model)
    layers = NewLayers()
    inputs = [layers.copy_input(tensor) for tensor in original.inputs]
    tensors = _Tensors(zip(steps.inputs, inputs, strict=True))
    for step in steps.steps:
        if step.alive:
            args, kwargs = tensors.arguments(step)
            outputs = keras.tree.flatten(step.rule.build(step, args, kwargs, layers))
            tensors.update(zip(step.outputs, outputs, strict=True))
    outputs = [tensors[slot] for slot in steps.outputs]
    return keras.Model(
        keras.tree.pack_sequence_as(original.input, inputs),
        keras.tree.pack_sequence_as(original.output, outputs),
        name=model.name,
    )


class NewLayers:
    """Makes the layers of the new model and gives them unique names."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._shared: dict[Any, Any] = {}

    def name(self, name: str) -> str:
        """Give a name that no other layer has."""
        unique, count = name, 1
        while unique in self._names:
            unique, count = f"{name}_{count}", count + 1
        self._names.add(unique)
        return unique

    def copy_input(self, tensor: Any) -> Any:
        """Copy an input of the original model."""
        config = graph.input_layer(tensor).get_config()
        self._names.add(config["name"])
        return keras.layers.InputLayer.from_config(config).output

    def copy(self, step: Step, changes: dict[str, Any] | None = None) -> tuple[Any, bool]:
        """Copy the operation of a step, without its weights.

        Args:
            step: The step.
            changes: Dict of the entries of its config that are new.

        Returns:
            The new operation, and whether it is the first copy of a shared one.
        """
        operation = step.operation
        if id(operation) in self._shared:
            return self._shared[id(operation)], False
        config = {**operation.get_config(), "name": self.name(step.name)}
        config.update((name, value) for name, value in (changes or {}).items() if name in config)
        new = type(operation).from_config(config)
        if getattr(operation, "weights", None):
            self._shared[id(operation)] = new
        return new, True


class _Tensors(dict):
    """The tensors of the new model, by the slot of the original one that they hold a part of."""

    def arguments(self, step: Step) -> tuple[Any, Any]:
        """Give the arguments of a step's call, with the wanted part of each input."""
        wants = iter(step.wants)

        def fill(leaf: Any) -> Any:
            return self._part(leaf, next(wants)) if isinstance(leaf, Slot) else leaf

        leaves = [fill(leaf) for leaf in keras.tree.flatten((step.args, step.kwargs))]
        return keras.tree.pack_sequence_as((step.args, step.kwargs), leaves)

    def _part(self, slot: Slot, want: np.ndarray) -> Any:
        """Give the wanted features of a slot, `None` if there are none."""
        if not want.any():
            return None
        if (want == slot.kept).all():
            return self[slot]
        key = (slot, want.tobytes())
        if key not in self:
            self[key] = take_features(self[slot], np.flatnonzero(want[slot.kept]))
        return self[key]


def take_features(tensor: Any, indices: np.ndarray) -> Any:
    """Take some features, the last axis, of a tensor of a model, in plain operations.

    Args:
        tensor: Symbolic tensor of shape `(batch, ..., features)`.
        indices: Integer array.
    """
    indices = indices.astype("int32")
    _, *positions, features = tensor.shape
    if None in positions:
        return ops.take(tensor, indices, axis=-1)
    # A look-up of rows: the only form of `take` that all backends also export to ONNX.
    rows = ops.reshape(tensor, (-1, features)) if positions else tensor
    taken = ops.transpose(ops.take(ops.transpose(rows), indices, axis=0))
    return ops.reshape(taken, (-1, *positions, len(indices))) if positions else taken
