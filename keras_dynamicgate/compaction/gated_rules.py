"""Rules of gated layers whose gates depend on the input: they stay gated, on fewer units."""

import warnings

import numpy as np
from keras import ops

from keras_dynamicgate.baselines.masked_dense import MaskedDense
from keras_dynamicgate.compaction.product_rules import folded_constants, over_positions
from keras_dynamicgate.compaction.rule import Rule, at_least_one
from keras_dynamicgate.gating import masks, networks
from keras_dynamicgate.gating.gate_network import BIAS_SCALE
from keras_dynamicgate.graph.element_wise import is_feature_wise

# By the type of a gate network: the kernels that lead linearly from its input to a bias, the weight
# that holds this bias, what the bias is divided by in there, and the kernel of the logits.
PARTS = {
    networks.LinearGate: (("kernel",), "scaled_bias", BIAS_SCALE, "kernel"),
    networks.LowRankGate: (
        ("down_kernel", "up_kernel"),
        "scaled_bias",
        BIAS_SCALE,
        "up_kernel",
    ),
    networks.MLPGate: (("hidden_kernel",), "hidden_bias", 1.0, "kernel"),
}


class Gated(Rule):
    """What the gated layers with weights share: a gate network with fewer weights."""

    def refusal(self, step):
        network = step.operation.gate.network
        if type(network) not in PARTS:
            return f"its gate network is a {type(network).__name__}, of unknown structure"
        if any(layer.quantization_mode is not None for layer in step.operation.dense_layers):
            return "it is quantized"
        sparse = [layer for layer in step.operation.dense_layers if isinstance(layer, MaskedDense)]
        if sparse:
            return f"the layer that it gates is a {type(sparse[0]).__name__}"
        return None

    def foldable(self, step):
        """Tell which inputs are constant and act as a bias."""
        slot, first = step.inputs[0], step.operation.dense_layers[0]
        return slot.known if first.use_bias else slot.constants == 0

    def wants(self, step):
        return [at_least_one(~self.foldable(step))]

    def stays(self, step):
        slot = step.inputs[0]
        reason = "all its inputs are closed, or it has no bias to fold a constant into"
        return [(slot, slot.known & step.wants[0], reason)]

    def why_unneeded(self, step):
        return "gates that share a block, a `top_k` or a `min_open` stay together"

    def open_gates(self, step):
        """Give the gates that the new layer has."""
        return step.gates.ever

    def shrunk_layer(self, step, layers, changes):
        """Make the new layer, still without weights."""
        operation, gates = step.operation, self.open_gates(step)
        network = operation.gate.network
        config = network.get_config()
        if isinstance(network, networks.LowRankGate):
            # The automatic rank would be another one for the new shapes.
            config["rank"] = network.chosen_rank
        min_open = operation.gate.min_open
        if min_open > 0 and not gates.all():
            # Half a gate less, so that rounding cannot make it one more.
            min_open = (masks.fewest_open(min_open, gates.size) - 0.5) / gates.sum()
        return layers.copy(
            step,
            {
                "gate": networks.serialize(type(network).from_config(config)),
                "block_size": operation.block_size,
                "min_open": float(min_open),
                **changes,
            },
        )[0]

    def fill_gate(self, step, gate):
        """Give the new gate its weights."""
        old, gates = step.operation.gate, self.open_gates(step)
        kernels, bias, scale, last = PARTS[type(old.network)]
        new = {weight.name: _numpy(weight) for weight in old.network.weights}
        through = new[kernels[0]]
        for kernel in kernels[1:]:
            through = through @ new[kernel]
        new[bias] = new[bias] + folded_constants(step, through) / scale
        new[kernels[0]] = new[kernels[0]][step.wants[0]]
        new[last] = new[last][:, gates]
        new["scaled_bias"] = new["scaled_bias"][gates]
        for weight in gate.network.weights:
            weight.assign(new[weight.name])
        for mine, other in zip(_own_weights(gate), _own_weights(old), strict=True):
            # Copied, since JAX deletes the array of a variable that it updates.
            values = ops.convert_to_numpy(other)
            mine.assign(values[gates] if other.name in ("usage", "open_ratio") else values)


def _call(layer, inputs):
    """Call a new layer without its advice on the size of gate networks, which comes too late."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The gate network of layer", UserWarning)
        return layer(inputs)


def _own_weights(gate):
    """List the weights of a gate that are not those of its network."""
    of_network = {id(weight) for weight in gate.network.weights}
    return [weight for weight in gate.weights if id(weight) not in of_network]


def _numpy(weight):
    return ops.convert_to_numpy(weight).astype("float64")


def _fill_dense(layer, operation, step, inputs, outputs):
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

    def open_gates(self, step):
        return step.outputs[0].kept.reshape(step.gates.ever.size, -1).any(axis=1)

    def keeps(self, step):
        layer, needed = step.operation, step.outputs[0].needed
        if not is_feature_wise(layer.activation):
            return [step.outputs[0].all()]
        blocks = needed.reshape(step.gates.ever.size, -1).any(axis=1)
        if layer.gate.top_k is not None or layer.gate.min_open > 0:
            # Gates that may open compete with each other, needed or not.
            blocks |= step.gates.ever
        return [np.repeat(blocks, layer.block_size)]

    def build(self, step, args, kwargs, layers):
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

    def refusal(self, step):
        if step.operation.data_format != "channels_last":
            return "its channels are not on the last axis"
        if step.operation.conv.groups != 1:
            return "it works in groups of channels"
        return super().refusal(step)

    def foldable(self, step):
        # Padding puts zeros beside a constant: at the border its sum is another one.
        if step.operation.conv.padding != "valid":
            return step.inputs[0].constants == 0
        return super().foldable(step)


class GatedMLP(Gated):
    """`DynamicGateMLP`: hidden blocks go that never open, and unneeded outputs."""

    def open_gates(self, step):
        return at_least_one(step.gates.ever)

    def keeps(self, step):
        return [step.outputs[0].needed]

    def build(self, step, args, kwargs, layers):
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
