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
    layers.restore_initializers()
    outputs = [tensors.part(slot, slot.all()) for slot in steps.outputs]
    return keras.Model(
        keras.tree.pack_sequence_as(original.input, inputs),
        keras.tree.pack_sequence_as(original.output, outputs),
        name=model.name,
    )


class NewLayers:
    """Makes the layers of the new model and gives them unique names.

    Their weights come from the original, so that they start from zeros: to draw random numbers of
    every shape first would take longer than all the rest.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._initializers: list[tuple[Any, str, Any]] = []
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
            self._start_from_zeros(new)
        return new, True

    def _start_from_zeros(self, layer: Any) -> None:
        for each in graph.all_layers(layer, include_self=True):
            for name in [name for name in vars(each) if name.endswith("_initializer")]:
                self._initializers.append((each, name, getattr(each, name)))
                setattr(each, name, _zeros)

    def restore_initializers(self) -> None:
        """Give the built layers the initializers of the original ones."""
        for layer, name, initializer in self._initializers:
            setattr(layer, name, initializer)


def _zeros(shape: Any, dtype: Any = None) -> np.ndarray:
    return np.zeros(shape, dtype)  # not of `ops`, where JAX compiles a program for each shape


class _Tensors(dict):
    """The tensors of the new model, by the slot of the original one that they hold a part of."""

    def arguments(self, step: Step) -> tuple[Any, Any]:
        """Give the arguments of a step's call, with the wanted part of each input."""
        pairs = zip(step.inputs, step.wants, strict=True)
        return step.called_on([self.part(slot, want) for slot, want in pairs])

    def part(self, slot: Slot, want: np.ndarray) -> Any:
        """Give the wanted features of a slot, `None` if there are none."""
        if not want.any():
            return None
        if (want == slot.kept).all():
            return self[slot]
        key = (slot, want.tobytes())
        if key not in self:
            self[key] = _wanted(self[slot], slot, want)
        return self[key]


def _wanted(tensor: Any, slot: Slot, want: np.ndarray) -> Any:
    """Take the wanted features of a tensor with the kept ones, and put constants where it has none.

    Args:
        tensor: Symbolic tensor of shape `(batch, ..., kept features)`.
        slot: The slot that the tensor holds a part of.
        want: Boolean array.
    """
    indices = (np.cumsum(slot.kept) - 1)[want]
    missing = ~slot.kept[want]
    if not missing.any():
        return take_features(tensor, indices)
    indices[missing] = slot.kept.sum()
    with_zero = ops.pad(tensor, [(0, 0)] * (len(tensor.shape) - 1) + [(0, 1)])
    taken = take_features(with_zero, indices)
    constants = np.where(missing, slot.constants[want], 0.0)
    if not constants.any():
        return taken
    return keras.layers.Rescaling(1.0, constants.tolist(), dtype=tensor.dtype)(taken)


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
