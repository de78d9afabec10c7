"""Which gates are open for which class."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.record import record_batches
from keras_dynamicgate.layers.gated_layer import GatedLayer, gated_layers
from keras_dynamicgate.pictures.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_gates(
    model: keras.Model,
    x: Any,
    y: Any = None,
    class_names: Sequence[str] | None = None,
    batch_size: int = 256,
) -> "Figure":
    """Draw which gates are open, for all inputs and, with labels, for each class.

    Each gated layer is a row of the picture: static gates of a square number of features are an
    image; other gates are a heat map with a line for all inputs and one for each class, labelled
    with its open ratio.

    Args:
        model: A Keras model with gated layers.
        x: Inputs as for `model.predict`.
        y: Integer labels of shape `(samples,)`. Defaults to `None`.
        class_names: List of the classes' names. Defaults to `None`: their numbers.
        batch_size: Integer, the number of samples that run at once. Defaults to 256.

    Returns:
        A matplotlib `Figure`; save it with `figure.savefig(path)`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the model has no gated layers.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)), keras_dynamicgate.DynamicGateDense(64, top_k=8)
        ... ])
        >>> x, y = np.random.default_rng(0).normal(size=(20, 64)), np.arange(20) % 2
        >>> keras_dynamicgate.plot_gates(model, x, y).savefig("gates.png")
    """
    layers = gated_layers(model)
    if not layers:
        raise ValueError(
            f"Argument `model` must have gated layers to draw. Received: model {model.name!r}"
        )
    ratios = open_ratios(model, x, y, batch_size)
    figure = new_figure(10, 3.2 * len(layers))
    for axes, layer in zip(np.atleast_1d(figure.subplots(len(layers), 1)), layers, strict=True):
        _plot_layer(figure, axes, layer, ratios[layer.gate], class_names)
    return figure


def open_ratios(
    model: keras.Model, x: Any, y: Any = None, batch_size: int = 256
) -> dict[Gate, np.ndarray]:
    """Measure how often each gate is open, for all inputs and for each class.

    Args:
        model: A Keras model with gated layers.
        x: Inputs as for `model.predict`.
        y: Integer labels of shape `(samples,)`. Defaults to `None`.
        batch_size: Integer, the number of samples that run at once. Defaults to 256.

    Returns:
        Dict from each `Gate` to an array of shape `(1 + classes, gates)`; the first row is for
        all inputs. Static gates have that row alone.
    """
    samples = len(keras.tree.flatten(x)[0])
    labels = np.zeros(samples, int) if y is None else np.asarray(y).reshape(samples)
    classes = 0 if y is None else int(labels.max()) + 1
    sums: dict = {}
    for rows, record in record_batches(model, x, batch_size):
        chosen = labels[rows]
        groups = np.stack([np.ones(len(chosen), bool), *(chosen == c for c in range(classes))])
        for gate, mask in record.masks().items():
            if not gate.input_dependent:
                sums[gate] = mask.reshape(1, -1) * samples
                continue
            by_sample = mask.reshape(len(chosen), -1, mask.shape[-1]).mean(axis=1)
            sums[gate] = sums.get(gate, 0.0) + groups @ by_sample
    counts = np.array([samples, *np.bincount(labels, minlength=classes)[:classes]])
    counts = np.maximum(counts, 1)[:, None]
    return {gate: total / counts[: len(total)] for gate, total in sums.items()}


def _plot_layer(
    figure: "Figure",
    axes: "Axes",
    layer: GatedLayer,
    ratios: np.ndarray,
    class_names: Sequence[str] | None,
) -> None:
    mean = ratios[0].mean()
    side = math.isqrt(ratios.shape[1])
    if len(ratios) == 1 and side * side == ratios.shape[1] and side > 4:
        axes.imshow(ratios.reshape(side, side), cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{layer.name}: {mean:.1%} of {side} x {side} static gates open (white)")
        return
    image = axes.imshow(ratios, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    names = class_names or [str(number) for number in range(len(ratios) - 1)]
    lines = zip(["all", *names], ratios.mean(axis=1), strict=False)
    axes.set_yticks(range(len(ratios)), [f"{name}: {ratio:.0%}" for name, ratio in lines])
    block = f" of {layer.block_size} units" if layer.block_size > 1 else ""
    axes.set(xlabel=f"gate (block{block})" if block else "gate")
    axes.set_title(f"{layer.name}: {mean:.1%} of gates open on average")
    figure.colorbar(image, ax=axes, label="open ratio")
