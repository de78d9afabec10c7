"""A model as a flat list of plain steps: inner models opened, gated layers taken apart.

A gated layer with fixed gates becomes the Keras layers inside it and a `StaticMask`, so that all
that follows knows only one kind of gate.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_dynamicgate import graph
from keras_dynamicgate.baselines.masked_dense import MaskedDense
from keras_dynamicgate.compaction.calibration import Calibration, GateState, gate_state
from keras_dynamicgate.graph.unfold import at_sizes
from keras_dynamicgate.layers.dynamic_gate import DynamicGate
from keras_dynamicgate.layers.dynamic_gate_conv2d import DynamicGateConv2D
from keras_dynamicgate.layers.dynamic_gate_dense import DynamicGateDense
from keras_dynamicgate.layers.dynamic_gate_mlp import DynamicGateMLP
from keras_dynamicgate.utils.types import Shape


@dataclasses.dataclass(eq=False)
class Slot:
    """One tensor of the model and what is found out about its features (its last axis).

    Attributes:
        shape: Tuple, the shape with the batch axis.
        dtype: String.
        constants: Float array, the value of each feature that is the same for all inputs at all
            positions; NaN elsewhere.
        spares: Boolean, whether a feature that is not needed spares a product some work.
        put_back: Boolean array, the constant features that no step computes: where one reads them,
            they are put in.
        needed: Boolean array, the features that have to be computed for some later step.
        kept: Boolean array, the features that the new model computes.
    """

    shape: tuple
    dtype: str
    constants: np.ndarray = dataclasses.field(init=False)
    spares: bool = dataclasses.field(default=False, init=False)
    put_back: np.ndarray = dataclasses.field(init=False)
    needed: np.ndarray = dataclasses.field(init=False)
    kept: np.ndarray = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.constants = np.full(self.width, np.nan)
        self.put_back = np.zeros(self.width, bool)
        self.needed = np.zeros(self.width, bool)
        self.kept = np.ones(self.width, bool)

    @property
    def width(self) -> int:
        """The number of features; 1 where there is no axis of known size for them."""
        return (self.shape[-1] or 1) if len(self.shape) > 1 else 1

    @property
    def known(self) -> np.ndarray:
        """Which features are constant."""
        return np.isfinite(self.constants)

    def all(self) -> np.ndarray:
        """Give a mask of all features."""
        return np.ones(self.width, bool)


@dataclasses.dataclass
class StaticMask:
    """Stands in the steps for gates that are the same for all inputs.

    Attributes:
        open: Boolean array, one for each feature.
        layer_name: The name of the gated layer.
        dtype: String, what the gated layer computes in.
    """

    open: np.ndarray
    layer_name: str
    dtype: str


@dataclasses.dataclass(eq=False)
class Step:
    """One call of an operation.

    Attributes:
        operation: A Keras layer or operation of the original model, or a `StaticMask`.
        name: The name that the operation gets in the new model.
        path: The name of the layer of the original model that the step is of; inside an inner
            model as `model/layer`.
        args: The arguments of the call, with slots in the places of tensors.
        kwargs: The keyword arguments, likewise.
        outputs: List of slots.
        gates: The `GateState` of a gated layer that stays gated; `None` without gates.
        rule: The `Rule` of the operation.
        wants: List of boolean arrays, the features that the step reads of each input.
    """

    operation: Any
    name: str
    path: str
    args: tuple
    kwargs: dict
    outputs: list[Slot]
    gates: Any = None
    rule: Any = None
    wants: list[np.ndarray] = dataclasses.field(default_factory=list)

    @property
    def inputs(self) -> list[Slot]:
        """The slots among the arguments."""
        leaves = keras.tree.flatten((self.args, self.kwargs))
        return [leaf for leaf in leaves if isinstance(leaf, Slot)]

    def called_on(self, values: Sequence[Any]) -> tuple[tuple, dict]:
        """Give the arguments and keyword arguments with values in the places of the slots."""
        following = iter(values)
        leaves = [
            next(following) if isinstance(leaf, Slot) else leaf
            for leaf in keras.tree.flatten((self.args, self.kwargs))
        ]
        packed: tuple[tuple, dict] = keras.tree.pack_sequence_as((self.args, self.kwargs), leaves)
        return packed

    @property
    def alive(self) -> bool:
        """Whether anything that the step computes is needed."""
        return any(slot.needed.any() for slot in self.outputs)


class FlatModel:
    """The steps of a model, in an order in which they can run.

    Args:
        model: A built Sequential or Functional model.
        calibration: A `Calibration` or `None`.
        shapes: List of the shape of each input, with the batch axis, for the sizes that the model
            leaves open. Defaults to `None`: they stay open.

    Attributes:
        inputs: List of slots.
        input_names: List of the names of the inputs.
        outputs: List of slots.
        steps: List of `Step`.
    """

    def __init__(
        self,
        model: keras.Model,
        calibration: Calibration | None = None,
        shapes: Sequence[Shape] | None = None,
    ) -> None:
        self.calibration = calibration
        self.steps: list[Step] = []
        self._sized = shapes is not None
        self._path = ""
        self._ordinary: dict[int, keras.layers.Dense] = {}
        tensors = graph.functional(model).inputs
        self.inputs = [_slot_like(tensor) for tensor in tensors]
        for slot, shape in zip(self.inputs, shapes or (), strict=False):
            slot.shape = shape
        self.input_names = [graph.input_layer(tensor).name for tensor in tensors]
        self.outputs = self._open(model, self.inputs, path="")

    def _open(self, model: keras.Model, slots: Sequence[Slot], path: str) -> list[Slot]:
        """Add the steps of a model and give the slots of its outputs."""
        # PyTorch takes no points in the names of weights, which hold that of their layer.
        prefix = path.replace(".", "_").replace("/", "_")

        def visit(operation: Any, node: Any, args: Any, kwargs: Any) -> list[Slot]:
            name = prefix + operation.name
            self._path = path + operation.name
            outputs = [_slot_like(tensor) for tensor in node.outputs]
            # Keras records `training=False` and `mask=None`, which mean nothing here.
            kwargs = {
                name: value
                for name, value in kwargs.items()
                if value is not None and value is not False
            }
            if _can_be_opened(operation, args, kwargs):
                return self._open(operation, keras.tree.flatten(args), f"{self._path}/")
            if type(operation) in TAKE_APART and len(args) == 1 and not kwargs:
                return [TAKE_APART[type(operation)](self, operation, name, args[0], outputs[0])]
            self.add(operation, name, args, kwargs, outputs)
            return outputs

        sized = at_sizes(model, [slot.shape for slot in slots]) if self._sized else model
        return graph.walk(sized, slots, visit)

    def source(self, slot: Slot) -> str:
        """Give the name of the layer that made the constant features of a slot what they are."""
        while True:
            step = next((step for step in self.steps if slot in step.outputs), None)
            if step is None:
                return ""
            if isinstance(step.operation, StaticMask):
                return step.operation.layer_name
            if len(step.inputs) != 1:
                return step.name
            slot = step.inputs[0]
            if not slot.known.any():
                return step.name

    def add(
        self,
        operation: Any,
        name: str,
        args: Any,
        kwargs: Any,
        outputs: Any,
        gates: GateState | None = None,
    ) -> Slot:
        """Add a step and give its (first) output."""
        if isinstance(operation, MaskedDense):
            # Weights that are not kept are plain zeros from now on.
            operation = self._ordinary.setdefault(id(operation), operation.to_dense())
        self.steps.append(Step(operation, name, self._path, args, kwargs, outputs, gates))
        return outputs[0]

    def mask(self, layer: Any, name: str, slot: Slot, is_open: np.ndarray) -> Slot:
        """Add a `StaticMask` and give its output."""
        output = Slot(slot.shape, layer.compute_dtype)
        # Not the policy of the layer, which may be a quantized one.
        mask = StaticMask(is_open, name, layer.compute_dtype)
        return self.add(mask, f"{name}_mask", (slot,), {}, [output])


def _slot_like(tensor: Any) -> Slot:
    return Slot(tuple(tensor.shape), tensor.dtype)


def _can_be_opened(operation: Any, args: Any, kwargs: Any) -> bool:
    """Tell whether a step is an inner model that can be replaced by what is in it."""
    plain = type(operation) is keras.Sequential or type(operation).__name__ == "Functional"
    if not isinstance(operation, keras.Model) or not plain or kwargs:
        return False
    slots = keras.tree.flatten(args)
    inputs = graph.functional(operation).inputs
    return len(slots) == len(inputs) and all(
        # Otherwise the inner model converts what it is given.
        isinstance(slot, Slot)
        and slot.dtype == tensor.dtype
        and len(slot.shape) == len(tensor.shape)
        for slot, tensor in zip(slots, inputs, strict=True)
    )


def _dynamic_gate(steps: FlatModel, layer: Any, name: str, slot: Slot, output: Slot) -> Slot:
    if layer.gate is None:
        return steps.mask(layer, name, slot, slot.all())
    gates = gate_state(layer.gate, steps.calibration)
    if not gates.fixed:
        slot = steps.add(layer, name, (slot,), {}, [output], gates)
    if gates.fixed or not gates.ever.all():
        return steps.mask(layer, name, slot, np.repeat(gates.ever, layer.block_size))
    return slot


def _gated_product(steps: FlatModel, layer: Any, name: str, slot: Slot, output: Slot) -> Slot:
    product = layer.dense_layers[0]
    if layer.gate is None:
        return steps.add(product, name, (slot,), {}, [output])
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        # Masks and slots are of the last axis.
        return steps.add(layer, name, (slot,), {}, [output])
    gates = gate_state(layer.gate, steps.calibration)
    if gates.fixed:
        slot = steps.add(product, name, (slot,), {}, [output])
    else:
        slot = steps.add(layer, name, (slot,), {}, [output], gates)
    if gates.ever.all():
        return slot
    return steps.mask(layer, name, slot, np.repeat(gates.ever, layer.block_size))


def _dynamic_gate_mlp(steps: FlatModel, layer: Any, name: str, slot: Slot, output: Slot) -> Slot:
    is_open = np.ones(1, bool)
    if layer.gate is not None:
        gates = gate_state(layer.gate, steps.calibration)
        if not gates.fixed:
            return steps.add(layer, name, (slot,), {}, [output], gates)
        is_open = gates.ever

    def hidden_slot() -> Slot:
        return Slot((*slot.shape[:-1], layer.hidden_units), layer.compute_dtype)

    hidden = steps.add(layer.hidden_dense, f"{name}_hidden", (slot,), {}, [hidden_slot()])
    if layer.gated_linear:
        linear = steps.add(layer.linear_dense, f"{name}_linear", (slot,), {}, [hidden_slot()])
        multiply = keras.layers.Multiply(dtype=layer.compute_dtype)
        hidden = steps.add(multiply, f"{name}_multiply", ([hidden, linear],), {}, [hidden_slot()])
    if not is_open.all():
        hidden = steps.mask(layer, name, hidden, np.repeat(is_open, layer.block_size))
    return steps.add(layer.output_dense, name, (hidden,), {}, [output])


# Functions `(steps, layer, name, input slot, output slot)` that add the steps of a gated layer and
# give the slot of its output.
TAKE_APART = {
    DynamicGate: _dynamic_gate,
    DynamicGateConv2D: _gated_product,
    DynamicGateDense: _gated_product,
    DynamicGateMLP: _dynamic_gate_mlp,
}
