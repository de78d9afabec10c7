"""The section on samples: which run most of the model, and which least."""

from collections.abc import Callable

import numpy as np

from keras_dynamicgate.reports import png
from keras_dynamicgate.reports.charts import histogram
from keras_dynamicgate.reports.classes import Classes
from keras_dynamicgate.reports.markup import Markup, element, section, table
from keras_dynamicgate.reports.measurements import Measurements

Column = Callable[[int], str]

ROWS = 10


def samples_section(
    measured: Measurements, x: np.ndarray | None, classes: Classes, relative: np.ndarray
) -> Markup:
    """Write a histogram of the costs of samples, and tables of the hardest and the easiest.

    Args:
        measured: The `Measurements`.
        x: Array of shape `(samples, ...)`, shown if samples are images, or `None`.
        classes: The `Classes` of the samples.
        relative: Array of shape `(samples,)`, the relative MACs of each sample.
    """
    title = "Hard and easy samples"
    low, high = float(relative.min()), float(relative.max())
    if measured.executed.min() == measured.executed.max():
        return section("samples", title, element("p", ALIKE))
    hardest = np.argsort(-measured.executed, kind="stable")[:ROWS]
    easiest = np.argsort(measured.executed, kind="stable")[:ROWS]
    summary = f"Relative MACs of {len(relative):,} samples: from {low:.3f} to {high:.3f}."
    picture = histogram(relative, low, high, "relative MACs", summary, bins=12)
    columns: dict[str, Column] = {"sample": lambda index: f"{index:,}"}
    if x is not None and png.is_image(x[0]):
        columns["image"] = _images(x, [*hardest, *easiest])
    columns.update(_columns(measured, classes, relative))
    return section(
        "samples",
        title,
        element("figure", element("figcaption", summary), picture),
        element(
            "div",
            _ranking("Hardest samples", hardest, columns, measured.executed),
            _ranking("Easiest samples", easiest, columns, measured.executed),
            class_="pair",
        ),
    )


TIE = "{:,} samples tie at {:,.0f} executed MACs; the first {} of them are listed."
ALIKE = "All samples run the same MACs: no gate decides differently from one to another."


def _columns(measured: Measurements, classes: Classes, relative: np.ndarray) -> dict[str, Column]:
    """Return the columns of the tables: a dict from heading to a function of a sample's index."""
    columns: dict[str, Column] = {}
    labels = classes.labels
    if labels is not None:
        columns["label"] = lambda index: classes.name(labels[index])
    predicted, confidence = measured.predicted, measured.confidence
    if predicted is not None and confidence is not None:
        right = predicted if labels is None else labels
        verdicts = np.where(predicted == right, "", " (wrong)")
        columns["predicted"] = lambda index: classes.name(predicted[index]) + verdicts[index]
        columns["confidence"] = lambda index: f"{confidence[index]:.1%}"
    columns["executed MACs"] = lambda index: f"{measured.executed[index]:,.0f}"
    columns["relative MACs"] = lambda index: f"{relative[index]:.3f}"
    return columns


def _images(x: np.ndarray, chosen: list[int]) -> Column:
    """Return the column of the images, which all share one scale of brightness."""
    low, high = png.limits(x[chosen])

    def image(index: int) -> Markup:
        source = png.data_uri(x[index], low, high)
        return element("td", element("img", src=source, alt=f"sample {index}"))

    return image


def _ranking(
    caption: str, chosen: np.ndarray, columns: dict[str, Column], executed: np.ndarray
) -> Markup:
    """Write a table of samples, with a note if others tie with the last of them."""
    rows = [[column(index) for column in columns.values()] for index in chosen]
    ranking = table(caption, list(columns), rows)
    last = executed[chosen[-1]]
    tied, listed = int(np.sum(executed == last)), int(np.sum(executed[chosen] == last))
    # Which of them are listed depends on their order alone.
    note = element("p", TIE.format(tied, last, listed)) if tied > listed else None
    return element("div", ranking, note)
