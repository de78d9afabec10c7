"""LoRAs of the Keras layers inside a gated layer."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_dynamicgate.utils.types import PartialShape


def build(layer: keras.layers.Layer, input_shape: PartialShape) -> None:
    """Build an inner layer and keep the scale of its LoRA, which Keras sets back to the rank."""
    lora_alpha = getattr(layer, "lora_alpha", None)
    layer.build(input_shape)
    if lora_alpha is not None:
        layer.lora_alpha = lora_alpha


def set_argument(layers: Sequence[keras.layers.Layer], name: str, value: Any) -> None:
    """Give inner layers an argument of their LoRAs before they are built.

    Args:
        layers: List of Keras layers.
        name: `"lora_rank"` or `"lora_alpha"`.
        value: Integer or `None` for all layers, or a list with one for each.

    Raises:
        ValueError: If a list has another length.
    """
    values = value if isinstance(value, (list, tuple)) else [value] * len(layers)
    if len(values) != len(layers):
        raise ValueError(
            f"Argument `{name}` must be an integer or a list of {len(layers)}, one for each "
            f"kernel. Received: {name}={value!r}"
        )
    for layer, own in zip(layers, values, strict=True):
        setattr(layer, name, own)


def arguments(layers: Sequence[keras.layers.Layer]) -> dict[str, Any]:
    """Give the arguments that inner layers have LoRAs by: one number where all have the same.

    Args:
        layers: List of Keras layers.

    Returns:
        Dict, empty if no layer has a LoRA.
    """
    if not any(layer.lora_rank for layer in layers):
        return {}
    found = {}
    for name in ("lora_rank", "lora_alpha"):
        values = [getattr(layer, name) for layer in layers]
        found[name] = values[0] if len(set(values)) == 1 else values
    return found
