"""From a Keras model to the steps of an engine."""

import dataclasses
import math
from typing import Any

import keras
import numpy as np

from keras_dynamicgate import graph
from keras_dynamicgate.baselines.masked_dense import MaskedDense
from keras_dynamicgate.engine import gate_steps, layer_steps, steps
from keras_dynamicgate.engine.layer_steps import REMEDY
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.layers.dynamic_gate import DynamicGate
from keras_dynamicgate.layers.dynamic_gate_dense import DynamicGateDense
from keras_dynamicgate.layers.dynamic_gate_mlp import DynamicGateMLP
from keras_dynamicgate.layers.gated_layer import gated_layers


@dataclasses.dataclass
class Tensor:
    """The tensor between two layers while the plan is made.

    Attributes:
        buffer: Index of its buffer.
        layout: Which feature is in which column.
        mask: The mask under which blocks of it are open, or `None`; closed blocks hold anything.
        positions: Tuple, the axes between batch and features.
    """

    buffer: int
    layout: steps.Layout
    mask: steps.Mask | None
    positions: tuple[int | None, ...]

    @property
    def features(self) -> int:
        """The number of features."""
        return len(self.layout.columns)


def make_plan(model: keras.Model) -> steps.Plan:
    """Translate a Keras model into the steps that compute the same outputs.

    Args:
        model: A built Sequential or linear Functional model.

    Returns:
        A `steps.Plan`.

    Raises:
        ValueError: If the model is no chain of known layers or has no input-dependent gate.
    """
    network = graph.functional(model)
    _check_gates(model)
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ValueError(
            f"Model {model.name!r} must have one input and one output. {REMEDY}. Received: "
            f"{len(network.inputs)} inputs, {len(network.outputs)} outputs"
        )
    shape = tuple(network.inputs[0].shape)[1:]
    if not shape or shape[-1] is None:
        raise ValueError(
            f"Model {model.name!r} must have features, the last axis of its input, of a known "
            f"number. {REMEDY}. Received: input_shape={shape}"
        )
    planner = Planner(shape)
    return planner.finish(planner.follow(model, None))


def _check_gates(model: keras.Model) -> None:
    """Raise a `ValueError` unless a model has an input-dependent gate, whatever else is in it."""
    gates = [layer.gate for layer in gated_layers(model)]
    if not gates:
        raise ValueError(
            f"Model {model.name!r} has no gates, so there is nothing to skip. Run it with "
            "`model.predict`, or give it gates with `keras_dynamicgate.gate_model(model)`."
        )
    if not any(gate.input_dependent for gate in gates):
        raise ValueError(
            f"Model {model.name!r} has no input-dependent gates, so there is nothing to decide for "
            "each sample. Static gates are removed for good by `keras_dynamicgate.compact(model)`, "
            "which gives a smaller, ordinary Keras model."
        )


def _called(operation: keras.Operation) -> str:
    kind = "Layer" if isinstance(operation, keras.layers.Layer) else "Operation"
    return f"{kind} {operation.name!r} ({type(operation).__name__})"


class Planner:
    """Collects the steps of a plan while the layers are visited one after the other."""

    def __init__(self, input_shape: tuple[int | None, ...]) -> None:
        self.plan = steps.Plan(input_shape)
        # Choosing, reshaping and rescaling features of the input waits until the input is copied:
        # then features that static gates close later need not be copied.
        self.shape: tuple[Any, ...] = input_shape
        self.take: np.ndarray | None = None
        self.affines: list[tuple[np.ndarray, np.ndarray]] = []

    def follow(self, model: keras.Model, tensor: Tensor | None) -> Tensor | None:
        """Add the steps of a model, and of models inside it; give its output tensor."""
        uses = graph.consumers(model)

        def visit(operation: Any, node: Any, args: Any, kwargs: Any) -> list[Any]:
            if len(node.input_tensors) != 1 or uses[id(node.input_tensors[0])] != 1:
                raise ValueError(f"{_called(operation)} joins or shares branches. {REMEDY}.")
            if not isinstance(operation, keras.layers.Layer):
                raise ValueError(
                    f"{_called(operation)} is no layer, and the engine runs layers alone. Put one "
                    f"in its place, such as `Rescaling` or `Activation`. {REMEDY}."
                )
            # Keras records `training=False` and `mask=None`, too, which change nothing.
            further = [each for each in kwargs.values() if each is not None and each is not False]
            if len(args) != 1 or further:
                raise layer_steps.cannot_run(operation, " with arguments besides its input")
            if isinstance(operation, keras.Model):
                return [self.follow(operation, args[0])]
            return [self.add_layer(operation, args[0])]

        return graph.walk(model, [tensor], visit)[0]

    def add_layer(self, layer: keras.layers.Layer, tensor: Tensor | None) -> Tensor | None:
        """Add the steps of one layer and give its output; `None` is the untouched input."""
        layer_steps.check_precision(layer)
        if layer_steps.is_identity(layer):
            return tensor
        if type(layer) is keras.layers.Flatten:
            return self.flatten(layer, tensor)
        # Behind static gates, an offset makes something else than 0 of a closed feature.
        if tensor is None and self.take is None and type(layer) in layer_steps.AFFINE_TYPES:
            self.rescale_input(layer)
            return None
        if isinstance(layer, DynamicGate):
            return gate_steps.add_gate(self, layer, tensor)
        tensor = self.loaded(tensor)
        if type(layer) is keras.layers.Dense or isinstance(layer, MaskedDense):
            return layer_steps.add_dense(self, layer, tensor)
        if isinstance(layer, DynamicGateDense):
            return gate_steps.add_gated_dense(self, layer, tensor)
        if isinstance(layer, DynamicGateMLP):
            return gate_steps.add_mlp(self, layer, tensor)
        return layer_steps.add_unit_wise(self, layer, tensor)

    def loaded(self, tensor: Tensor | None) -> Tensor:
        """Make sure that the input has been copied into a buffer."""
        if tensor is not None:
            return tensor
        features = self.shape[-1]
        if self.take is None:
            layout = steps.Layout.plain(features)
        else:
            layout = steps.Layout.plain(len(self.take)).scattered(self.take, features)
        positions = self.shape[:-1]
        buffer = self.buffer(layout.width, positions)
        self.plan.steps.append(steps.Load(buffer, features, self.take))
        for pair in self.affines:
            self.plan.steps.append(steps.Affine(buffer, *map(layout.rows_of, pair)))
        return Tensor(buffer, layout, None, positions)

    def rescale_input(self, layer: keras.layers.Layer) -> None:
        """Add a `Rescaling` or `Normalization` of the input to those before it."""
        pairs = layer_steps.affines(layer, self.shape[-1])
        if len(pairs) == 1 and self.affines:
            ((scale, shift),), (scale_before, shift_before) = pairs, self.affines.pop()
            pairs = [(scale * scale_before, scale * shift_before + shift)]
        self.affines += pairs

    def buffer(self, width: int, positions: tuple[int | None, ...]) -> int:
        """Add a buffer and give its index."""
        self.plan.buffers.append(steps.Buffer(width, len(positions) > 0))
        return len(self.plan.buffers) - 1

    def mask(self, gates: int, block: int) -> steps.Mask:
        """Add a mask."""
        mask = steps.Mask(len(self.plan.masks), gates, block)
        self.plan.masks.append(mask)
        return mask

    def price(self, gate: Gate) -> int:
        """Add the price of a gate and give its index."""
        # That of balanced gates is in the last map of their network.
        price = 0.0 if gate.logit_balance is not None else float(layer_steps.weight(gate.price))
        self.plan.prices.append(price)
        self.plan.price_tables.append(gate.price_table.rows())
        return len(self.plan.prices) - 1

    def product(
        self,
        tensor: Tensor,
        kernel: np.ndarray,
        bias: np.ndarray | None,
        activation: str = "linear",
        slope: float = 0.0,
        out_mask: steps.Mask | None = None,
        name: str = "",
    ) -> Tensor:
        """Add `activation(tensor @ kernel + bias)` and give the result."""
        features = kernel.shape[1]
        if out_mask is None:
            # Whole vectors are written, so that rows end at a multiple of their size.
            layout = steps.Layout.plain(features, -(-features // 16) * 16)
        else:
            size = features // out_mask.gates
            unit = np.arange(features)
            columns = unit // size * out_mask.block + unit % size
            layout = steps.Layout(out_mask.gates * out_mask.block, columns)
        target = self.buffer(layout.width, tensor.positions)
        bias = np.zeros(features, "float32") if bias is None else bias
        self.plan.steps.append(
            steps.Product(
                tensor.buffer,
                target,
                tensor.layout.rows_of(kernel),
                bias,
                activation,
                slope,
                tensor.mask,
                out_mask,
                name,
            )
        )
        return Tensor(target, layout, out_mask, tensor.positions)

    def opened(self, tensor: Tensor) -> Tensor:
        """Write zeros where blocks are closed, for a step that looks at everything."""
        if tensor.mask is None:
            return tensor
        self.plan.steps.append(steps.CloseBlocks(tensor.buffer, tensor.mask))
        return dataclasses.replace(tensor, mask=None)

    def expanded(self, tensor: Tensor, positions: int = 1) -> Tensor:
        """Bring all features in order into a buffer, several positions into one row if asked."""
        tensor = self.opened(tensor)
        if tensor.layout.is_in_order and positions == 1:
            return tensor
        self.plan.positions = max(self.plan.positions, positions)
        features = tensor.features * positions
        kept = () if positions > 1 else tensor.positions
        target = self.buffer(features, kept)
        self.plan.steps.append(
            steps.Rearrange(tensor.buffer, target, tensor.layout.columns, positions)
        )
        return Tensor(target, steps.Layout.plain(features), None, kept)

    def flatten(self, layer: keras.layers.Flatten, tensor: Tensor | None) -> Tensor | None:
        """Add a `Flatten`: the input is simply read as flat, a later tensor is copied."""
        positions: tuple[Any, ...] = self.shape[:-1] if tensor is None else tensor.positions
        if None in positions:
            raise ValueError(
                f"Layer {layer.name!r} (Flatten) needs a fixed input shape. Build the model with "
                f"fixed sizes. Received: input_shape={self.plan.input_shape}"
            )
        count = math.prod(positions)
        if count > 1 and layer.data_format == "channels_first":
            raise layer_steps.cannot_run(layer, ' with `data_format="channels_first"`')
        if tensor is not None:
            if count > 1:
                return self.expanded(tensor, count)
            return dataclasses.replace(tensor, positions=())
        if self.take is not None and count > 1:
            keep = np.zeros((count, self.shape[-1]), "bool")
            keep[:, self.take] = True
            self.take = np.flatnonzero(keep)
        self.affines = [
            (np.tile(scale, count), np.tile(shift, count)) for scale, shift in self.affines
        ]
        self.shape = (count * self.shape[-1],)
        return None

    def finish(self, tensor: Tensor | None) -> steps.Plan:
        """Add the copy to the output and give the plan."""
        tensor = self.opened(self.loaded(tensor))
        self.plan.steps.append(steps.Store(tensor.buffer, tensor.layout.columns))
        self.plan.output_features = tensor.features
        self.plan.output_per_position = len(tensor.positions) > 0
        return self.plan
