"""Which layers of a model are gated, and with which gate arguments."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_dynamicgate.conversion.configs import with_live_parts
from keras_dynamicgate.conversion.survey import GATED, LayerCandidate, size
from keras_dynamicgate.gating import networks
from keras_dynamicgate.gating.activation_gate import ActivationGate
from keras_dynamicgate.gating.arguments import DEFAULTS
from keras_dynamicgate.gating.gate_network import GateNetwork
from keras_dynamicgate.layers.dynamic_gate import DynamicGate
from keras_dynamicgate.layers.gated_layer import GatedLayer, resolve_block_size
from keras_dynamicgate.utils import checks

SETTINGS = ("gate", "block_size", *DEFAULTS)


def only_activated(candidates: Sequence[LayerCandidate]) -> list[LayerCandidate]:
    """List the candidates that gates of `gate="activation"` may stand on, open to them.

    Args:
        candidates: List of `LayerCandidate`.
    """
    return [
        dataclasses.replace(each, refusal=None)
        for each in candidates
        if each.activation is not None
    ]


def is_activation_gate(gate: Any) -> bool:
    """Tell whether an argument `gate` asks for gates that read the units themselves."""
    return gate == "activation" or isinstance(gate, ActivationGate)


def choose(
    candidates: Sequence[LayerCandidate], layers: Any
) -> dict[LayerCandidate, dict[str, Any]]:
    """Choose the layers that are gated.

    Args:
        candidates: List of `LayerCandidate`.
        layers: The argument `layers` of `gate_model`.

    Returns:
        Dict from the chosen `LayerCandidate` to its own gate arguments.

    Raises:
        ValueError: If a name or type matches no layer or one that cannot be gated, if settings are
            no gate arguments or differ for one layer, or if `layers` is none of what it may be.
    """
    if isinstance(layers, Mapping):
        return _with_settings(candidates, layers)
    if layers is None:
        return {each: {} for each in candidates if _is_free(each)}
    if callable(layers) and not isinstance(layers, type):
        return {each: {} for each in candidates if _is_free(each) and layers(each.layer)}
    chosen = []
    several = isinstance(layers, Iterable) and not isinstance(layers, str)
    for item in layers if several else [layers]:
        if isinstance(item, str):
            chosen += _named(candidates, item)
        elif isinstance(item, type) and item in GATED:
            chosen += _of_type(candidates, item)
        else:
            raise _malformed(layers)
    return {each: {} for each in candidates if each in chosen}


def _malformed(layers: Any) -> ValueError:
    types = ", ".join(f"`keras.layers.{kind.__name__}`" for kind in GATED)
    return ValueError(
        f"Argument `layers` must hold names of layers or the types {types}; it can also be a "
        "function from a layer to a boolean or a dict from names to dicts of gate arguments. "
        f"Received: layers={layers!r}"
    )


def _with_settings(
    candidates: Sequence[LayerCandidate], layers: Any
) -> dict[LayerCandidate, dict[str, Any]]:
    """Give the settings of each candidate that a dict names."""
    settings: dict = {}
    for name, own in layers.items():
        if not isinstance(name, str) or not isinstance(own, Mapping):
            raise _malformed(layers)
        _check_settings(name, own)
        for candidate in _named(candidates, name):
            if settings.setdefault(candidate, dict(own)) != dict(own):
                raise ValueError(
                    f"Argument `layers` must give layer {candidate.name!r} one dict of gate "
                    f"arguments, by one of its names. Received: {settings[candidate]} and {own}"
                )
    return settings


def _is_free(candidate: LayerCandidate) -> bool:
    """Tell whether a layer may get gates without being named."""
    return not candidate.refusal and not candidate.is_head


def _of_type(candidates: Sequence[LayerCandidate], kind: type) -> list[LayerCandidate]:
    """List the candidates of a type that may get gates without being named."""
    found = [each for each in candidates if type(each.layer) is kind and _is_free(each)]
    if not found:
        types = {each.name: type(each.layer).__name__ for each in candidates if not each.refusal}
        raise ValueError(
            "Argument `layers` must hold types of layers that can be gated and are not the head, "
            f"which has to be named; these can: {types}. Received: keras.layers.{kind.__name__}"
        )
    return found


def _named(candidates: Sequence[LayerCandidate], name: str) -> list[LayerCandidate]:
    """List the candidates with a name, with or without the names of the models around them."""
    found = [each for each in candidates if name in (each.name, each.layer.name)]
    if not found:
        raise ValueError(
            "Argument `layers` must name layers that can be gated; these can: "
            f"{[each.name for each in candidates if not each.refusal]}. Received: {name!r}"
        )
    for each in found:
        if each.refusal:
            raise ValueError(
                f"Argument `layers` must name layers that can be gated, and layer {each.name!r} "
                f"cannot: {each.refusal}. Received: {name!r}"
            )
    return found


def _check_settings(name: str, settings: Mapping[str, Any]) -> None:
    unknown = [key for key in settings if key not in SETTINGS]
    if unknown:
        raise ValueError(
            f"Argument `layers` must give layer {name!r} arguments of gates, which are "
            f"{list(SETTINGS)}. Received: {unknown}"
        )


def gated_layer(candidate: LayerCandidate, settings: dict[str, Any]) -> GatedLayer:
    """Make the gated layer for a chosen layer, not yet built; its weights start as copies.

    Args:
        candidate: A `LayerCandidate`.
        settings: Dict of gate arguments.

    Raises:
        ValueError: If a gate argument is outside what is allowed for this layer.
    """
    layer = candidate.layer
    if is_activation_gate(settings["gate"]):
        settings = _reading_units(candidate, settings)
    with _refusals_of(candidate):
        resolve_block_size(settings["block_size"], size(layer))
        # Not by `from_config`, which buries the message of an error in the whole config.
        gated = GATED[type(layer)](**{**_config(layer), **settings})
    _check_gate(gated.gate)
    (product,) = gated.dense_layers
    _start_from(product, "kernel_initializer", layer.kernel)
    if layer.bias is not None:
        _start_from(product, "bias_initializer", layer.bias)
    return gated


def _reading_units(candidate: LayerCandidate, settings: dict[str, Any]) -> dict[str, Any]:
    """Give the settings of a gate that reads the units of a layer, single ones if any will do."""
    gate = networks.get(settings["gate"]).get_config()
    gate = ActivationGate(gate["open_ratio"], candidate.activation or "linear")
    block_size = 1 if settings["block_size"] == "auto" else settings["block_size"]
    return {**settings, "gate": gate, "block_size": block_size}


def gate_behind(candidate: LayerCandidate, settings: dict[str, Any]) -> DynamicGate:
    """Make the gate that comes some layers behind a chosen layer, not yet built.

    Args:
        candidate: A `LayerCandidate`.
        settings: Dict of gate arguments.

    Raises:
        ValueError: If a gate argument is outside what is allowed for this layer.
    """
    layer = candidate.layer
    with _refusals_of(candidate):
        block_size = resolve_block_size(settings["block_size"], size(layer))
        named = {"name": f"{layer.name}_gate", "dtype": layer.dtype_policy}
        gate = DynamicGate(**{**settings, "block_size": block_size, **named})
    _check_gate(gate.gate)
    gate.trainable = layer.trainable
    return gate


@contextlib.contextmanager
def _refusals_of(candidate: LayerCandidate) -> Iterator[None]:
    """Name the layer in the errors of its gate arguments."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"Layer {candidate.name!r} cannot be gated like this: {error}") from error


def is_static(gate: Any) -> bool:
    """Tell whether an argument `gate` asks for gates that are the same for all inputs."""
    return gate == "static" or (isinstance(gate, GateNetwork) and not gate.input_dependent)


def _check_gate(gate: Any) -> None:
    """Raise unless there are gates, and they are open at the start."""
    if gate is None:
        raise ValueError(
            "Argument `gate` must name a gate network. To leave a layer as it is, leave it out of "
            "`layers`. Received: gate=None"
        )
    if gate.balance is not None:
        raise ValueError(
            "Argument `balance` closes each gate for some inputs from the first step on, but "
            "`gate_model` begins with all of them open. Train a network with balanced gates from "
            f"scratch. Received: balance={gate.balance!r}"
        )
    threshold = gate.initial_threshold
    checks.number(
        "initial_open",
        gate.initial_open,
        f"above `threshold`, {threshold}",
        lambda probability: probability > threshold,
    )


def _start_from(product: keras.layers.Layer, name: str, weight: keras.Variable) -> None:
    """Make an initializer of a layer copy a weight, once.

    Assigning the weight after the build would hold it twice, and drawing random numbers first would
    take longer than all the rest.
    """
    initializer = getattr(product, name)

    def copy(shape: Any, dtype: Any = None) -> Any:
        # From now on the config of the layer has its own initializer again.
        setattr(product, name, initializer)
        return ops.copy(weight)

    setattr(product, name, copy)


def _config(layer: keras.layers.Layer) -> dict[str, Any]:
    """Give the config of a layer in terms of the gated layer."""
    config = with_live_parts(layer, layer.get_config())
    if isinstance(layer, keras.layers.EinsumDense):
        for name in ("equation", "output_shape", "bias_axes", "gptq_unpacked_column_size"):
            config.pop(name, None)
        config.update(units=size(layer), use_bias=layer.bias is not None)
    quantization = config.pop("quantization_config", None)
    if quantization is not None:
        config["quantization_config"] = keras.saving.deserialize_keras_object(quantization)
    return config
