"""The steps of the package's own layers: gate networks, gated Dense, gated MLP."""

import dataclasses
from typing import Any, cast

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.engine import layer_steps, steps
from keras_dynamicgate.engine.static_gates import StaticGates
from keras_dynamicgate.gating import masks
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.layers.dynamic_gate import DynamicGate
from keras_dynamicgate.layers.dynamic_gate_dense import DynamicGateDense
from keras_dynamicgate.layers.dynamic_gate_mlp import DynamicGateMLP
from keras_dynamicgate.layers.gated_layer import GatedLayer

# `plan.py` imports this file.
Planner = Any
Tensor = Any

# Blocks begin at whole vectors of the kernels: 8 floats, or 16 where that fits.
BLOCK_MULTIPLE = 8


def add_gate(planner: Planner, layer: DynamicGate, tensor: Tensor | None) -> Tensor | None:
    """Add the steps of a `DynamicGate`; its static form only leaves features out."""
    if layer.gate is None:
        return tensor
    if not layer.gate.input_dependent:
        static = StaticGates(layer)
        if tensor is None:
            features = np.arange(len(static.ever_open)) if planner.take is None else planner.take
            planner.take = features[static.ever_open[features]]
            return static.shut(planner, planner.loaded(None)) if static.differ else None
        layout = tensor.layout.closed(static.ever_open)
        return static.shut(planner, dataclasses.replace(tensor, layout=layout))
    tensor = planner.expanded(planner.loaded(tensor))
    mask = decide(planner, layer, tensor, layer.block_size)
    return dataclasses.replace(tensor, mask=mask)


def add_gated_dense(planner: Planner, layer: DynamicGateDense, tensor: Tensor) -> Tensor:
    """Add the steps of a `DynamicGateDense`."""
    return _gated_product(planner, layer, tensor, layer.dense, None)


def add_mlp(planner: Planner, layer: DynamicGateMLP, tensor: Tensor) -> Tensor:
    """Add the steps of a `DynamicGateMLP`."""
    hidden = _gated_product(planner, layer, tensor, layer.hidden_dense, layer.linear_dense)
    return layer_steps.add_dense(
        planner, layer.output_dense, hidden, _called(layer, layer.output_dense)
    )


def _called(layer: GatedLayer, dense: keras.layers.Layer) -> str:
    """Name a product: by its layer, and by its part where the layer has several."""
    return layer.name if len(layer.dense_layers) == 1 else f"{layer.name}/{dense.name}"


def _gated_product(
    planner: Planner,
    layer: GatedLayer,
    tensor: Tensor,
    dense: keras.layers.Layer,
    linear: keras.layers.Layer | None,
) -> Tensor:
    """Add a Dense whose units are gated, and multiplied with a second, linear one if given."""
    gate = layer.gate
    name, slope = layer_steps.activation_of(layer, dense.activation)
    if gate is not None and not gate.input_dependent:
        return _statically_gated(planner, layer, tensor, dense, linear)
    across = name in layer_steps.ACROSS_UNITS
    if gate is None or across:
        mask = None
    else:
        block = -(-layer.block_size // BLOCK_MULTIPLE) * BLOCK_MULTIPLE
        mask = decide(planner, layer, tensor, block)
    kernel, bias = layer_steps.dense_weights(dense)
    if across:
        output = layer_steps.add_dense(planner, dense, tensor, _called(layer, dense))
    else:
        output = planner.product(tensor, kernel, bias, name, slope, mask, _called(layer, dense))
    if linear is not None:
        kernel, bias = layer_steps.dense_weights(linear)
        factor = planner.product(tensor, kernel, bias, out_mask=mask, name=_called(layer, linear))
        planner.plan.steps.append(
            steps.Multiply(factor.buffer, output.buffer, output.layout.width, mask)
        )
    if across and gate is not None:
        # Such an activation needs all units; what the gates save is the layer that follows.
        output = dataclasses.replace(output, mask=decide(planner, layer, tensor, layer.block_size))
    return output


def _statically_gated(
    planner: Planner,
    layer: GatedLayer,
    tensor: Tensor,
    dense: keras.layers.Layer,
    linear: keras.layers.Layer | None,
) -> Tensor:
    """Add a Dense without the units that its static gates close."""
    name, slope = layer_steps.activation_of(layer, dense.activation)
    static = StaticGates(layer)
    is_open = static.ever_open
    if name in layer_steps.ACROSS_UNITS:
        output = layer_steps.add_dense(planner, dense, tensor, _called(layer, dense))
        layout = output.layout.closed(is_open)
        return static.shut(planner, dataclasses.replace(output, layout=layout))
    kept = np.flatnonzero(is_open) if is_open.any() else np.array([0])
    kernel, bias = layer_steps.dense_weights(dense)
    bias = None if bias is None else bias[kept]
    output = planner.product(tensor, kernel[:, kept], bias, name, slope, name=_called(layer, dense))
    if linear is not None:
        kernel, bias = layer_steps.dense_weights(linear)
        bias = None if bias is None else bias[kept]
        factor = planner.product(tensor, kernel[:, kept], bias, name=_called(layer, linear))
        planner.plan.steps.append(
            steps.Multiply(factor.buffer, output.buffer, output.layout.width, None)
        )
    layout = output.layout.scattered(kept, len(is_open)).closed(is_open)
    return static.shut(planner, dataclasses.replace(output, layout=layout))


def decide(planner: Planner, layer: GatedLayer, tensor: Tensor, block: int) -> steps.Mask:
    """Add a gate network and the decision, from the input of a layer; give the mask."""
    gate = cast(Gate, layer.gate)
    logits = _logits(planner, layer, tensor)
    mask = planner.mask(gate.gates, block)
    # By NumPy: on several devices, TensorFlow's variables are no numbers.
    threshold = float(ops.convert_to_numpy(gate.threshold))
    planner.plan.steps.append(
        steps.Decide(
            logits.buffer,
            mask,
            temperature=float(ops.convert_to_numpy(gate.temperature)),
            logit_threshold=masks.logit(threshold),
            top_k=gate.top_k or 0,
            fewest=masks.fewest_open(gate.min_open, gate.gates),
            price=planner.price(gate),
            layer=layer.name,
        )
    )
    return mask


def _logits(planner: Planner, layer: GatedLayer, tensor: Tensor) -> Tensor:
    """Add the gate network of a layer; balance goes into the last map."""
    network, weight = layer.gate.network, layer_steps.weight
    chain = network.affine_maps()
    if chain is None:
        raise layer_steps.cannot_run(
            layer,
            f": its gate network {type(network).__name__} is no `chain` of affine maps, as those "
            "of this package are",
        )
    for affine in chain:
        function = keras.activations.get(affine.activation)
        name, slope = layer_steps.activation_of(layer, function)
        kernel = weight(affine.kernel)
        bias = None if affine.bias is None else weight(affine.bias) * np.float32(affine.bias_scale)
        if affine is chain[-1] and layer.gate.logit_balance is not None:
            if name != "linear":
                raise layer_steps.cannot_run(layer, ": the last map of its gate network is curved")
            factor, added = layer.gate.balancing()
            kernel = kernel * factor
            bias = added if bias is None else bias * factor + added
        tensor = planner.product(tensor, kernel, bias, name, slope)
    return tensor
