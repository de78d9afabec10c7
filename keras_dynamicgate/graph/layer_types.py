"""Layers of Keras by name, those that the installed version has."""

from typing import TypeVar

from keras import layers

# What these layers do to their inputs at inference: nothing.
IDENTITIES = (
    "Dropout",
    "AlphaDropout",
    "GaussianDropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "ActivityRegularization",
    "GaussianNoise",
    "Identity",
)

# Layers that work on each channel by itself.
POOLING = tuple(
    f"{kind}Pooling{rank}D"
    for rank in (1, 2, 3)
    for kind in ("Max", "Average", "GlobalMax", "GlobalAverage", "AdaptiveMax", "AdaptiveAverage")
)
RESIZING = tuple(f"{kind}{rank}D" for rank in (1, 2, 3) for kind in ("Cropping", "UpSampling"))
PREPROCESSING = (
    "CategoryEncoding",
    "CenterCrop",
    "Discretization",
    "Hashing",
    "IntegerLookup",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "Resizing",
    "StringLookup",
)
PADDING = tuple(f"ZeroPadding{rank}D" for rank in (1, 2, 3))

Rule = TypeVar("Rule")


def is_padded(layer: layers.Layer) -> bool:
    """Tell whether the window of a convolution meets zeros beside its input."""
    return bool(layer.padding != "valid" and any(size > 1 for size in layer.kernel_size))


def is_on_last_axis(layer: layers.Layer, rank: int) -> bool:
    """Tell whether a normalisation has its weights or statistics along the last axis alone.

    Args:
        layer: A `BatchNormalization` or `Normalization` layer.
        rank: Integer, the number of axes of its input, the batch axis included.
    """
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else (layer.axis,)
    return {axis % rank for axis in axes} <= {rank - 1}


def by_name(rule: Rule, *names: str) -> dict[type[layers.Layer], Rule]:
    """Give a rule to the Keras layers of these names that the installed version has.

    Args:
        rule: What holds for all of these layers.
        *names: Names of classes in `keras.layers`.

    Returns:
        A dict from each class to the rule.
    """
    return {getattr(layers, name): rule for name in names if hasattr(layers, name)}
