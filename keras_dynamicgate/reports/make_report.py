"""`html_report`: measure a model and write the results as a page."""

import pathlib
from collections.abc import Sequence
from os import PathLike
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.counting.count import count_macs
from keras_dynamicgate.macs.report import MacReport
from keras_dynamicgate.reports.classes import Classes
from keras_dynamicgate.reports.comparison_section import comparison_section
from keras_dynamicgate.reports.cost_section import cost_section, figures
from keras_dynamicgate.reports.gates_section import gates_section
from keras_dynamicgate.reports.markup import element, join
from keras_dynamicgate.reports.measurements import measure
from keras_dynamicgate.reports.page import page
from keras_dynamicgate.reports.results import read_runs
from keras_dynamicgate.reports.samples_section import samples_section
from keras_dynamicgate.utils.files import written_at_once


def html_report(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    class_names: Sequence[str] | None = None,
    results: dict[str, Any] | None = None,
    path: str | PathLike[str],
) -> MacReport:
    """Write what the gates of a model do as a web page in one file.

    The page shows the MACs of each layer, usage and open ratio by layer and class, how often each
    gate is open, and the samples that run most and least of the model. It loads nothing from
    elsewhere, reads well on a phone and follows the reader's choice of light or dark.

    Args:
        model: A built Sequential or Functional model; without gates the page says so.
        x: Inputs as for `model.predict`: an array or a list or dict of arrays. Samples of shape
            `(height, width)` or `(height, width, 1 or 3)` are shown as images.
        y: Integer labels of shape `(samples,)`. Defaults to `None`: the page does not distinguish
            classes.
        class_names: List of the classes' names. Defaults to `None`: their numbers.
        results: Results of a comparison, drawn as accuracy against relative MACs: a dict with a
            list under `"runs"` of dicts with `"model"`, `"accuracy"`, `"relative_macs"` and, if
            there was a budget, `"target"`. Defaults to `None`.
        path: File to write; one that exists is replaced, by the whole page or not at all.

    Returns:
        The `MacReport` of the page.

    Raises:
        ValueError: If the cost of the model cannot be counted, or an argument is not as above.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)), keras_dynamicgate.DynamicGateDense(64, top_k=8)
        ... ])
        >>> x, y = np.random.default_rng(0).normal(size=(20, 64)), np.arange(20) % 2
        >>> report = keras_dynamicgate.reports.html_report(model, x, y, path="report.html")
        >>> report.open_ratio
        0.25

    Reference:

    - DynamicGate-MLP (arXiv 2603.16367), gate usage and relative MACs
    """
    inputs = keras.tree.flatten(x)
    classes = Classes(y, class_names, len(inputs[0]))
    runs = None if results is None else read_runs(results)
    report, measured = count_macs(model, x), measure(model, x)
    relative = (measured.executed + measured.of_gates) / max(report.dense, 1)
    images = np.asarray(inputs[0]) if len(inputs) == 1 else None
    lead = element("p", LEAD.format(report.relative))
    sections = {
        "Cost": cost_section(report),
        "Gates": gates_section(measured, classes, relative),
        "Samples": samples_section(measured, images, classes, relative),
    }
    if runs is not None:
        sections["Comparison"] = comparison_section(runs)
    lead = join(lead, figures(report, classes.accuracy(measured)))
    text = page(f"Gate report: {model.name}", lead, sections)
    with written_at_once(pathlib.Path(path)) as part:
        part.write_text(text, encoding="utf-8")
    return report


LEAD = (
    "For a sample of the given data the model runs on average {:.1%} of its dense "
    "multiply-accumulates (MACs), gate networks counted."
)
