"""Which layers of a model are gated, and with which gate arguments."""

from collections.abc import Mapping

import keras
from keras import ops

from keras_dynamicgate.conversion.survey import GATED, size
from keras_dynamicgate.gating import checks
from keras_dynamicgate.layers.gated_layer import resolve_block_size

SETTINGS = (
    "gate",
    "block_size",
    "temperature",
    "threshold",
    "top_k",
    "estimator",
    "initial_open",
    "min_open",
    "usage_regularizer",
    "seed",
)


def choose(candidates, layers):
    """Choose the layers that are gated.

    Args:
        candidates: List of `Candidate`.
        layers: The argument `layers` of `gate_model`.

    Returns:
        Dict from the chosen `Candidate` to its own gate arguments.

    Raises:
        ValueError: If a name matches no layer or one that cannot be gated, or if settings are no
            gate arguments.
    """
    if isinstance(layers, Mapping):
        for name, settings in layers.items():
            _check_settings(name, settings)
        return {
            candidate: dict(settings)
            for name, settings in layers.items()
            for candidate in _named(candidates, name)
        }
    if layers is None:
        layers = tuple(GATED)
    elif callable(layers) and not isinstance(layers, type):
        return {each: {} for each in candidates if not each.refusal and layers(each.layer)}
    elif isinstance(layers, (str, type)):
        layers = (layers,)
    chosen = []
    for item in layers:
        if isinstance(item, str):
            chosen += _named(candidates, item)
        elif item in GATED:
            chosen += [each for each in candidates if _is_of_type(each, item)]
        else:
            types = ", ".join(f"`keras.layers.{kind.__name__}`" for kind in GATED)
            raise ValueError(
                f"Argument `layers` must hold names of layers or the types {types}; it can also "
                "be a function from a layer to a boolean or a dict from names to gate arguments. "
                f"Received: layers={layers!r}"
            )
    return {each: {} for each in candidates if each in chosen}


def _is_of_type(candidate, kind):
    return type(candidate.layer) is kind and not candidate.refusal and not candidate.is_head


def _named(candidates, name):
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


def _check_settings(name, settings):
    unknown = [key for key in settings if key not in SETTINGS]
    if unknown:
        raise ValueError(
            f"Argument `layers` must give layer {name!r} arguments of gates, which are "
            f"{list(SETTINGS)}. Received: {unknown}"
        )


def gated_layer(candidate, settings):
    """Make the gated layer for a chosen layer, not yet built; its weights start as copies.

    The initializers are then those of the copies: `restore_initializers` puts things right.

    Args:
        candidate: A `Candidate`.
        settings: Dict of gate arguments.

    Raises:
        ValueError: If a gate argument is outside what is allowed for this layer.
    """
    layer = candidate.layer
    try:
        resolve_block_size(settings["block_size"], size(layer))
        # Not by `from_config`, which buries the message of an error in the whole config.
        gated = GATED[type(layer)](**{**_config(layer), **_weights(layer), **settings})
    except ValueError as error:
        raise ValueError(f"Layer {candidate.name!r} cannot be gated like this: {error}") from error
    gate = gated.gate
    if gate is None:
        raise ValueError(
            "Argument `gate` must name a gate network. To leave a layer as it is, leave it out of "
            "`layers`. Received: gate=None"
        )
    # Otherwise all gates would be closed at the start.
    threshold = gate.initial_threshold
    checks.number(
        "initial_open",
        gate.initial_open,
        f"above `threshold`, {threshold}",
        lambda probability: probability > threshold,
    )
    return gated


def _weights(layer):
    """Give initializers that copy the weights of a layer.

    Weights that are assigned later would take the memory of a layer twice, and random numbers
    longer than all the rest.
    """
    weights = {"kernel_initializer": layer.kernel, "bias_initializer": layer.bias}
    return {
        name: lambda shape, dtype=None, weight=weight: ops.copy(weight)
        for name, weight in weights.items()
        if weight is not None
    }


def restore_initializers(layer, gated):
    """Give a gated layer the initializers of the layer that it is a copy of.

    Args:
        layer: The layer that was copied.
        gated: The layer of `gated_layer`, built.
    """
    (product,) = gated.dense_layers
    product.kernel_initializer = layer.kernel_initializer.clone()
    product.bias_initializer = layer.bias_initializer.clone()


def _config(layer):
    """Give the config of a layer in terms of the gated layer."""
    config = layer.get_config()
    if isinstance(layer, keras.layers.EinsumDense):
        for name in ("equation", "output_shape", "bias_axes", "gptq_unpacked_column_size"):
            config.pop(name, None)
        config.update(units=size(layer), use_bias=layer.bias is not None)
    quantization = config.pop("quantization_config", None)
    if quantization is not None:
        config["quantization_config"] = keras.saving.deserialize_keras_object(quantization)
    return config
