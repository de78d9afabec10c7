"""`reserve_units`: keeps some units closed for the reference, for what is to be learned later."""

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.gate_network import BIAS_SCALE
from keras_dynamicgate.gating.masks import fewest_open, logit
from keras_dynamicgate.gating.record import record_batches
from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.plasticity.inactive import mean_masks
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import Inputs

MARGIN = 0.1


def reserve_units(
    model: keras.Model, reference: Inputs, share: float = 0.25, *, batch_size: int = 256
) -> dict[str, np.ndarray]:
    """Close the least used blocks of units for all reference inputs.

    Gates that depend on the input seldom leave a unit closed for thousands of inputs, and then
    strict `"inactive"` has nothing to learn with. This lowers the bias of the least used gates of
    each layer just so far that no reference input opens them; others still may. The answers to the
    inputs that opened them change, so measure what it costs.

    Args:
        model: A built model with gated layers whose gates have neither `top_k` nor `min_open` nor
            `balance`.
        reference: Inputs as for `model.predict`.
        share: Number above 0 and below 1, the share of the gates of each layer. Defaults to 0.25.
        batch_size: Integer, the number of samples that run at once. Defaults to 256.

    Returns:
        Dict from the path of each gated layer to a boolean array, true for the gates that are
        closed now.

    Raises:
        ValueError: If the model has no gated layers, if its gates compete, are balanced or have no
            bias of the logits, or as `inactive_units`.

    Examples:
        >>> layer = keras_dynamicgate.DynamicGateDense(64, "relu")
        >>> model = keras.Sequential([keras.Input((64,)), layer])
        >>> reserved = keras_dynamicgate.plasticity.reserve_units(model, np.ones((3, 64)))
        >>> int(reserved[layer.path].sum())
        8
    """
    checks.number("share", share, "above 0 and below 1", lambda value: 0 < value < 1)
    means = mean_masks(model, reference, batch_size)
    layers = gated_layers(model)
    for layer in layers:
        _require_bias(layer.gate, layer.path)
    reserved = {}
    for layer in layers:
        order = np.argsort(means[layer.path], kind="stable")
        reserved[layer.path] = np.isin(
            np.arange(layer.gate.gates), order[: fewest_open(share, layer.gate.gates)]
        )
    chosen = {layer.gate: reserved[layer.path] for layer in layers}
    # A layer that closes changes what the gates behind it read, and probabilities near 1 tell
    # little of their logits: so once more until nothing is open.
    while _lower(model, reference, batch_size, chosen):
        pass
    return reserved


def _lower(
    model: keras.Model, reference: Inputs, batch_size: int, chosen: dict[Gate, np.ndarray]
) -> bool:
    """Lower the bias of gates that still open, and tell whether there were any."""
    highest = {gate: np.zeros(gate.gates) for gate in chosen}
    for _, record in record_batches(model, reference, batch_size, argument="reference"):
        for gate, probability in record.probabilities(padding=True).items():
            rows = probability.reshape(-1, gate.gates).max(axis=0)
            highest[gate] = np.maximum(highest[gate], rows)
    any_open = False
    for gate, mask in chosen.items():
        threshold = float(ops.convert_to_numpy(gate.threshold))
        is_open = mask & (highest[gate] > threshold)
        if is_open.any():
            any_open = True
            top = np.clip(highest[gate], 1e-7, 1.0 - 1e-7)
            excess = np.log(top / (1.0 - top)) - logit(threshold) + MARGIN
            step = excess * float(ops.convert_to_numpy(gate.temperature)) / BIAS_SCALE
            bias = gate.network.scaled_bias
            assert bias is not None
            bias.assign(ops.convert_to_numpy(bias) - np.where(is_open, step, 0.0))
    return any_open


def _require_bias(gate: Gate, path: str) -> None:
    competes = gate.top_k is not None or bool(gate.min_open) or gate.balance is not None
    if competes or gate.network.scaled_bias is None:
        raise ValueError(
            "Argument `model` must have gates that are decided one by one, without `top_k`, "
            "`min_open` and `balance`, by networks with a bias of the logits. "
            f"Received: layer {path!r} with top_k={gate.top_k}, min_open={gate.min_open}, "
            f"balance={gate.balance}, {type(gate.network).__name__}"
        )
