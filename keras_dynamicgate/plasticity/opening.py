"""`open_units`: opens closed units for inputs that look like recent ones, not the reference."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate import graph
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.gate_network import AffineMap
from keras_dynamicgate.gating.masks import logit
from keras_dynamicgate.layers.gated_layer import GatedLayer, gated_layers
from keras_dynamicgate.plasticity.inactive import mean_masks, require_gates
from keras_dynamicgate.plasticity.samples import check_shapes
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import Inputs

# How far, in temperatures, the mean of the recent inputs lies above what closes the reference, and
# how far below its threshold a gate is kept for the reference, so that rounding cannot open it.
STEEPNESS = 4.0
MARGIN = 0.1
# Share of the mean variance that is added to each, for features that hardly vary.
RIDGE = 1e-3


def open_units(
    model: keras.Model, reference: Inputs, x: Inputs, y: Any = None, *, tau: float = 0.0
) -> dict[str, float]:
    """Open the units that learned while closed, for inputs that look like recent ones.

    In each gated layer, the gates that the update mode lets learn get the linear discriminant of
    two sets: what the last map of the gate network reads for the reference and what it reads for
    `x`. The bias is such that the reference leaves them closed. All other gates stay what they are,
    and so do, with `tau=0.0`, the answers to the reference, bit for bit.

    Args:
        model: A built Sequential or Functional model in update mode `"inactive"` or `"both"`.
        reference: Inputs as for `model.predict` that must not be disturbed.
        x: Inputs as for `model.predict` for which the closed units have learned.
        y: Labels of `x`: the units stay closed if opening them does not lower the loss. Needs a
            compiled model. Defaults to `None`: they open.
        tau: Number from 0 to 1, the share of the reference for which they may open, too. Defaults
            to 0.0.

    Returns:
        Dict from the path of each gated layer to the share of `x`, or of its positions, for which
        its units open; 0.0 where they stay closed: because none learn, because the gates are
        static, balanced, compete with each other or are no chain of affine maps, or because the
        sets are not told apart.

    Raises:
        ValueError: If the model has no gated layers or no graph, or if `reference` or `x` has no
            samples, does not fit the inputs or holds NaN.

    Examples:
        >>> layer = keras_dynamicgate.DynamicGateDense(4, "relu", gate="linear", block_size=4)
        >>> model = keras.Sequential([keras.Input((2,)), layer])
        >>> layer.gate.network.scaled_bias.assign([-1.0])
        >>> model.compile(keras_dynamicgate.plasticity.MaskedUpdate("sgd"), "mse")
        >>> old, new = np.eye(2)[:1], np.eye(2)[1:]
        >>> keras_dynamicgate.plasticity.set_update_mode(model, "inactive", reference=old)
        >>> keras_dynamicgate.plasticity.open_units(model, old, new)[layer.path]
        1.0
    """
    require_gates(model)
    require_graph(model)
    checks.number("tau", tau, "from 0 to 1", lambda value: 0 <= value <= 1)
    check_shapes(model, x, "x")
    layers = gated_layers(model)
    before = [layer.gate.network.get_weights() for layer in layers]
    start = None if y is None else _loss(model, x, y)
    # Layer by layer, because what opens changes what those behind it read.
    opened = {layer.path: _open(model, layer, reference, x, tau) for layer in layers}
    if start is not None and not _loss(model, x, y) < start:
        for layer, weights in zip(layers, before, strict=True):
            layer.gate.network.set_weights(weights)
        return dict.fromkeys(opened, 0.0)
    return opened


def require_graph(model: keras.Model) -> None:
    """Raise a `ValueError` if a model does not tell what its layers read."""
    if not graph.has_graph(model):
        raise ValueError(
            "Argument `model` must be a Sequential or Functional model for its units to be opened. "
            f"Received: model={model!r}"
        )


def _open(model: keras.Model, layer: GatedLayer, reference: Inputs, x: Inputs, tau: float) -> float:
    """Open the units of one layer, if they can be, and give the share of `x` that opens them."""
    gate = layer.gate
    if not _maps(gate):
        return 0.0
    learns = ops.convert_to_numpy(gate.shadow.forced_open) > 0
    chosen = learns & (mean_masks(model, reference)[layer.path] <= tau)
    if not chosen.any():
        return 0.0
    inside = keras.Model(model.inputs, layer.input)
    old, new = (_features(inside, layer, each) for each in (reference, x))
    before = gate.network.get_weights()
    _set(gate, chosen, *_discriminant(old, new, tau))
    share = float(mean_masks(model, x, argument="x")[layer.path][chosen].mean())
    stays_closed = (mean_masks(model, reference)[layer.path][chosen] <= tau).all()
    if share and stays_closed:
        return share
    gate.network.set_weights(before)
    return 0.0


def _maps(gate: Gate) -> list[AffineMap]:
    """Give the affine maps of gates that are each decided alone by these, else an empty list."""
    maps = gate.network.affine_maps()
    competes = gate.top_k is not None or bool(gate.min_open) or gate.logit_balance is not None
    return [] if competes or not maps or maps[-1].bias is None else maps


def _set(gate: Gate, chosen: np.ndarray, direction: np.ndarray, bias: float) -> None:
    """Let gates open where `features @ direction + bias` is above 0, in temperatures."""
    last = _maps(gate)[-1]
    assert last.bias is not None
    kernel, biases = (np.array(ops.convert_to_numpy(each)) for each in (last.kernel, last.bias))
    threshold, price, temperature = (
        float(ops.convert_to_numpy(each)) for each in (gate.threshold, gate.price, gate.temperature)
    )
    level = logit(threshold) + price
    kernel[:, chosen] = temperature * direction[:, None]
    biases[chosen] = temperature * (bias + level) / last.bias_scale
    last.kernel.assign(kernel)
    last.bias.assign(biases)


def _discriminant(old: np.ndarray, new: np.ndarray, tau: float) -> tuple[np.ndarray, float]:
    """Give a direction and a bias, negative for all of `old` but a share of `tau`."""
    spread = np.atleast_2d(sum(np.cov(each, rowvar=False, bias=True) for each in (old, new)))
    ridge = RIDGE * max(float(np.trace(spread)) / len(spread), 1e-12)
    direction = np.linalg.solve(spread + ridge * np.eye(len(spread)), new.mean(0) - old.mean(0))
    top = float(np.quantile(old @ direction, 1.0 - tau, method="higher"))
    gap = float((new @ direction).mean()) - top
    scale = STEEPNESS / max(abs(gap), 1e-12)
    return direction * scale, -top * scale - MARGIN


def _features(inside: keras.Model, layer: GatedLayer, x: Inputs) -> np.ndarray:
    """Give what the last map of a gate network reads, one row for each sample and position."""
    inputs: Any = layer.gate_inputs(ops.convert_to_tensor(inside.predict(x, verbose=0)))
    for affine in _maps(layer.gate)[:-1]:
        inputs = affine(inputs)
    values = ops.convert_to_numpy(ops.cast(inputs, "float32"))
    return values.reshape(-1, values.shape[-1]).astype("float64")


def _loss(model: keras.Model, x: Inputs, y: Any) -> float:
    return float(model.evaluate(x, y, verbose=0, return_dict=True)["loss"])
