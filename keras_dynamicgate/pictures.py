"""Pictures of gates: which are open for which class, and how that came about in training."""

import importlib.util
import math

import keras
import numpy as np

from keras_dynamicgate.gating.record import record_batches
from keras_dynamicgate.layers.gated_layer import gated_layers


def available():
    """Tell whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def new_figure(width, height):
    """Create a figure that needs no display and leaves the user's matplotlib settings alone."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Pictures need matplotlib. Install it with `pip install keras-dynamicgate[examples]`."
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def save(figure, path):
    """Write a figure to a PNG file."""
    figure.savefig(path, dpi=120)


def plot_summary(rows, report):
    """Draw the open ratio of each layer over the epochs beside what the layers cost.

    Args:
        rows: List of dicts with `epoch`, `layer`, `usage` and `open_ratio`.
        report: The `MacReport` of the last epoch.

    Returns:
        A matplotlib `Figure`.
    """
    figure = new_figure(10, 3.6)
    over_time, costs = figure.subplots(1, 2)
    for name in dict.fromkeys(row["layer"] for row in rows):
        mine = [row for row in rows if row["layer"] == name]
        epochs = [row["epoch"] + 1 for row in mine]
        (line,) = over_time.plot(epochs, [row["open_ratio"] for row in mine], "o-", ms=3)
        over_time.plot(epochs, [row["usage"] for row in mine], "--", color=line.get_color())
        line.set_label(name)
    over_time.set(xlabel="epoch", ylabel="share of gates", ylim=(-0.03, 1.03))
    over_time.set_title("open ratio (dashed: usage)")
    over_time.legend()
    _plot_costs(costs, report)
    return figure


def _plot_costs(axes, report):
    layers = [layer for layer in report.layers if layer.dense]
    names = [layer.name for layer in layers]
    axes.barh(names, [layer.dense for layer in layers], color="0.88", label="dense")
    executed = [layer.executed for layer in layers]
    axes.barh(names, executed, color="tab:blue", label="executed")
    gates = [layer.gates for layer in layers]
    axes.barh(names, gates, left=executed, color="tab:orange", label="gates")
    axes.invert_yaxis()
    axes.set(xlabel="MACs per sample")
    axes.set_title(f"relative MACs {report.relative:.3f}")
    axes.legend()


def plot_histories(histories):
    """Draw how models learned: validation accuracy, and relative MACs where there are some.

    Args:
        histories: Dict from the model's name to the `history` dict of `fit`.

    Returns:
        A matplotlib `Figure`.
    """
    figure = new_figure(10, 3.6)
    for axes, (name, title) in zip(figure.subplots(1, 3), TITLES.items(), strict=True):
        for number, (model, history) in enumerate(histories.items()):
            if name in history:
                epochs = range(1, len(history[name]) + 1)
                axes.plot(epochs, history[name], "o-", ms=3, label=model, color=f"C{number}")
        axes.set(xlabel="epoch", title=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
    figure.axes[-1].set_ylim(0, 1.1)
    return figure


TITLES = {
    "loss": "training loss (with penalty)",
    "val_accuracy": "validation accuracy",
    "relative_macs": "relative MACs",
}


def plot_gates(model, x, y=None, class_names=None, batch_size=256):
    """Draw which gates are open, for all inputs and, with labels, for each class.

    Each gated layer is a row of the picture: static gates of a square number of features as an
    image, other gates as a heat map with a line for all inputs and one for each class, each with
    its open ratio.

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


def open_ratios(model, x, y=None, batch_size=256):
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


def _plot_layer(figure, axes, layer, ratios, class_names):
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
