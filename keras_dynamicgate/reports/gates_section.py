"""The section on gates: how much of each layer is open for each class, and how often each gate."""

from collections.abc import Sequence

import numpy as np

from keras_dynamicgate.reports.charts import histogram
from keras_dynamicgate.reports.classes import Classes
from keras_dynamicgate.reports.markup import Markup, element, heat, section, table
from keras_dynamicgate.reports.measurements import GateMeasurements, Measurements

NO_GATES = "This model has no gates."


def gates_section(measured: Measurements, classes: Classes, relative: np.ndarray) -> Markup:
    """Write the heat maps and histograms of all gated layers.

    Args:
        measured: The `Measurements`.
        classes: The `Classes` of the samples.
        relative: Array of shape `(samples,)`, the relative MACs of each sample.
    """
    if not measured.gates:
        return section("gates", "What the gates do", element("p", NO_GATES))
    groups = classes.groups(len(relative))
    open_ratios = {name: gates.open_ratio for name, gates in measured.gates.items()}
    usages = {name: gates.usage for name, gates in measured.gates.items()}
    charts = [_histogram(name, gates) for name, gates in measured.gates.items()]
    return section(
        "gates",
        "What the gates do",
        element("p", OPENNESS),
        element(
            "div",
            _heat_map("Open ratio", {**open_ratios, "relative MACs": relative}, groups),
            _heat_map("Usage", usages, groups),
            class_="pair",
        ),
        element("h3", "How often each gate is open"),
        element("p", HISTOGRAMS),
        element("div", *charts, class_="charts"),
    )


OPENNESS = (
    "The open ratio is the share of a layer's gates that are open: what really runs. Usage is the "
    "mean gate probability; if it is far from the open ratio, many gates are undecided. "
    "Relative MACs are those of the whole model."
)
HISTOGRAMS = (
    "Gates on the left are closed for most samples, gates on the right open for most. Only what "
    "lies between depends on the sample."
)


def _heat_map(
    title: str, columns: dict[str, np.ndarray], groups: Sequence[tuple[str, np.ndarray]]
) -> Markup:
    heads = ("samples", "number", *columns)
    rows = [
        (name, f"{chosen.sum():,}", *(_mean(values, chosen) for values in columns.values()))
        for name, chosen in groups
    ]
    return table(title + (" by class and layer" if len(groups) > 1 else " by layer"), heads, rows)


def _mean(values: np.ndarray, chosen: np.ndarray) -> Markup:
    return heat(float(values[chosen].mean()) if chosen.any() else None)


def _histogram(name: str, gates: GateMeasurements) -> Markup:
    never, always = int(np.sum(gates.by_gate == 0)), int(np.sum(gates.by_gate == 1))
    kind = "" if gates.input_dependent else " static"
    summary = (
        f"{name}: {len(gates.by_gate):,}{kind} gates; {never:,} never open, {always:,} always open."
    )
    picture = histogram(gates.by_gate, 0.0, 1.0, "share of samples", summary)
    return element("figure", element("figcaption", summary), picture)
