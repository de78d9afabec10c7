"""Rules of gated layers whose gates depend on the input: they stay gated, on fewer units."""

import functools
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from keras_dynamicgate.baselines.masked_dense import MaskedDense
from keras_dynamicgate.compaction.flat_model import Slot, Step
from keras_dynamicgate.compaction.product_rules import folded_constants, over_positions
from keras_dynamicgate.compaction.rule import Rule, at_least_one
from keras_dynamicgate.gating import masks, networks
from keras_dynamicgate.gating.gate import PER_GATE, Gate
from keras_dynamicgate.gating.gate_network import AffineMap
from keras_dynamicgate.graph.element_wise import is_feature_wise

if TYPE_CHECKING:
    from keras_dynamicgate.compaction.rebuild import NewLayers


class Gated(Rule):
    """What the gated layers with weights share: a gate network with fewer weights."""

    def refusal(self, step: Step) -> str | None:
        network = step.operation.gate.network
        chain = network.affine_maps()
        if not chain or chain[-1].bias is None or len(_weights_of(chain)) != len(network.weights):
            return f"its gate network is a {type(network).__name__}, of unknown structure"
        if any(affine.activation != "linear" for affine in _to_first_bias(chain)[:-1]):
            return f"its gate network, a {type(network).__name__}, has no bias before an activation"
        if any(layer.quantization_mode is not None for layer in step.operation.dense_layers):
            return "it is quantized"
        sparse = [layer for layer in step.operation.dense_layers if isinstance(layer, MaskedDense)]
        if sparse:
            return f"the layer that it gates is a {type(sparse[0]).__name__}"
        return None

    def foldable(self, step: Step) -> np.ndarray:
        """Tell which inputs are constant and act as a bias."""
        slot, first = step.inputs[0], step.operation.dense_layers[0]
        return slot.known if first.use_bias else slot.constants == 0

    def wants(self, step: Step) -> list[np.ndarray]:
        return [at_least_one(~self.foldable(step))]

    def stays(self, step: Step) -> list[tuple[Slot, np.ndarray, str | None]]:
        slot = step.inputs[0]
        reason = "all its inputs are closed, or it has no bias to fold a constant into"
        return [(slot, slot.known & step.wants[0], reason)]

    def why_unneeded(self, step: Step) -> str | None:
        return "gates that share a block, a `top_k` or a `min_open` stay together"

    def open_gates(self, step: Step) -> Any:
        """Give the gates that the new layer has."""
        return step.gates.ever

    def shrunk_layer(self, step: Step, layers: "NewLayers", changes: dict[str, Any]) -> Any:
        """Make the new layer, still without weights."""
        operation, gates = step.operation, self.open_gates(step)
        network = operation.gate.network
        min_open = operation.gate.min_open
        if min_open > 0 and not gates.all():
            # Half a gate less, so that rounding cannot make it one more.
            min_open = (masks.fewest_open(min_open, gates.size) - 0.5) / gates.sum()
        return layers.copy(
            step,
            {
                "gate": networks.serialize(type(network).from_config(network.built_config())),
                "block_size": operation.block_size,
                "min_open": float(min_open),
                **changes,
            },
        )[0]

    def fill_gate(self, step: Step, gate: Gate) -> None:
        """Give the new gate its weights."""
        old, gates = step.operation.gate, self.open_gates(step)
        chain = old.network.chain()
        values = [_numpy(weight) for weight in _weights_of(chain)]
        _fold(step, chain, values)
        # The rows of the first kernel are inputs; columns of the last and its bias are gates.
        values[0] = values[0][step.wants[0]]
        values[-2:] = [values[-2][:, gates], values[-1][gates]]
        for weight, value in zip(_weights_of(gate.network.chain() or ()), values, strict=True):
            weight.assign(value)
        for mine, other in zip(_own_weights(gate), _own_weights(old), strict=True):
            # Copied, since JAX deletes the array of a variable that it updates.
            state = ops.convert_to_numpy(other)
            mine.assign(state[gates] if other.name in PER_GATE else state)


def _weights_of(chain: Sequence[AffineMap]) -> list[Any]:
    """List the weights of a gate network, map by map."""
    pairs = [(affine.kernel, affine.bias) for affine in chain]
    return [weight for pair in pairs for weight in pair if weight is not None]


def _to_first_bias(chain: Sequence[AffineMap]) -> Sequence[AffineMap]:
    """Give the maps of a gate network up to the first one with a bias."""
    first = [affine.bias is not None for affine in chain].index(True)
    return chain[: first + 1]


def _fold(step: Step, chain: Sequence[AffineMap], values: Any) -> None:
    """Add what constant inputs give to the first bias of a gate network."""
    linear = _to_first_bias(chain)
    through = functools.reduce(np.matmul, values[: len(linear)])
    values[len(linear)] += folded_constants(step, through) / linear[-1].bias_scale


def _call(layer: Any, inputs: Any) -> Any:
    """Call a new layer without its advice on the size of gate networks, which comes too late."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The gate network of layer", UserWarning)
        return layer(inputs)


def _own_weights(gate: Gate) -> list[Any]:
    """List the weights of a gate that are not those of its network."""
    of_network = {id(weight) for weight in gate.network.weights}
    return [weight for weight in gate.weights if id(weight) not in of_network]


def _numpy(weight: Any) -> np.ndarray:
    return ops.convert_to_numpy(weight).astype("float64")


def _fill_dense(layer: Any, operation: Any, step: Step, inputs: Any, outputs: Any) -> None:
    """Give an inner layer the rows and columns that are left, constant inputs in its bias."""
    kernel = _numpy(operation.kernel)
    weights = [kernel[..., inputs, :][..., outputs]]
    if operation.use_bias:
        is_first = inputs is step.wants[0]
        folded = folded_constants(step, over_positions(kernel)) if is_first else 0.0
        weights.append((_numpy(operation.bias) + folded)[outputs])
    layer.set_weights(weights)


class GatedDense(Gated):
    """`DynamicGateDense`: whole blocks go that are not needed or never open."""

    size = "units"

    def open_gates(self, step: Step) -> Any:
        return step.outputs[0].kept.reshape(step.gates.ever.size, -1).any(axis=1)

    def keeps(self, step: Step) -> list[np.ndarray]:
        layer, needed = step.operation, step.outputs[0].needed
        if not is_feature_wise(layer.activation):
            return [step.outputs[0].all()]
        blocks = needed.reshape(step.gates.ever.size, -1).any(axis=1)
        if layer.gate.top_k is not None or layer.gate.min_open > 0:
            # Gates that may open compete with each other, needed or not.
            blocks |= step.gates.ever
        return [np.repeat(blocks, layer.block_size)]

    def build(self, step: Step, args: Any, kwargs: Any, layers: "NewLayers") -> Any:
        kept = step.outputs[0].kept
        changes = {self.size: int(kept.sum()), "lora_rank": None}
        layer = self.shrunk_layer(step, layers, changes)
        outputs = _call(layer, *args)
        (new,), (old,) = layer.dense_layers, step.operation.dense_layers
        _fill_dense(new, old, step, step.wants[0], kept)
        self.fill_gate(step, layer.gate)
        return outputs


class GatedConv2D(GatedDense):
    """`DynamicGateConv2D`: the same with channels, whose mean is what its gate network sees."""

    size = "filters"

    def refusal(self, step: Step) -> str | None:
        if step.operation.data_format != "channels_last":
            return "its channels are not on the last axis"
        if step.operation.conv.groups != 1:
            return "it works in groups of channels"
        return super().refusal(step)

    def foldable(self, step: Step) -> np.ndarray:
        # Padding puts zeros beside a constant: at the border its sum is another one.
        if step.operation.conv.padding != "valid":
            return step.inputs[0].constants == 0
        return super().foldable(step)


class GatedMLP(Gated):
    """`DynamicGateMLP`: hidden blocks go that never open, and unneeded outputs."""

    def open_gates(self, step: Step) -> Any:
        return at_least_one(step.gates.ever)

    def keeps(self, step: Step) -> list[np.ndarray]:
        return [step.outputs[0].needed]

    def build(self, step: Step, args: Any, kwargs: Any, layers: "NewLayers") -> Any:
        operation, kept = step.operation, step.outputs[0].kept
        hidden = np.repeat(self.open_gates(step), operation.block_size)
        sizes = {"hidden_units": int(hidden.sum()), "units": int(kept.sum())}
        changes = {**sizes, "lora_rank": None, "lora_alpha": None}
        layer = self.shrunk_layer(step, layers, changes)
        outputs = _call(layer, *args)
        wanted = step.wants[0]
        _fill_dense(layer.hidden_dense, operation.hidden_dense, step, wanted, hidden)
        if operation.gated_linear:
            _fill_dense(layer.linear_dense, operation.linear_dense, step, wanted, hidden)
        _fill_dense(layer.output_dense, operation.output_dense, step, hidden, kept)
        self.fill_gate(step, layer.gate)
        return outputs
