"""The section on multiply-accumulates: the table of `count_macs`."""

from keras_dynamicgate.macs.layer_macs import LayerMacs
from keras_dynamicgate.macs.report import HEADS as REPORT_HEADS
from keras_dynamicgate.macs.report import MacReport
from keras_dynamicgate.reports.markup import Markup, element, heat, join, section, table

HEADS = (*REPORT_HEADS[:-1], "usage", REPORT_HEADS[-1], "varying")


def figures(report: MacReport, accuracy: float | None) -> Markup:
    """Write the key numbers of a model.

    Args:
        report: The `MacReport`.
        accuracy: Number from 0 to 1, or `None`.
    """
    gated = any(layer.gate_count for layer in report.layers)
    numbers = {
        "relative MACs": f"{report.relative:.3f}",
        "dense MACs": f"{report.dense:,}",
        "executed MACs": f"{report.executed:,.0f}",
        "gate MACs": f"{report.gates:,.0f}",
        "deliverable MACs": f"{report.deliverable:,.0f}",
        "open ratio": f"{report.open_ratio:.3f}" if gated else None,
        "accuracy": None if accuracy is None else f"{accuracy:.2%}",
        "samples": f"{report.samples:,}",
    }
    pairs = (
        element("div", element("dt", name), element("dd", number))
        for name, number in numbers.items()
        if number is not None
    )
    return element("dl", *pairs, class_="figures")


def cost_section(report: MacReport) -> Markup:
    """Write the table of the costs of all layers, with its notes."""
    rows = [_row(layer.name, layer) for layer in report.layers]
    total = _row("total", report)
    content = table("MACs per sample, layer by layer", HEADS, rows, total)
    notes = (element("p", note) for note in report.notes())
    return section("cost", "What the model costs", content, join(*notes))


def _row(name: str, counted: LayerMacs | MacReport) -> tuple[str, ...]:
    """Write the row of a layer or, since both have the same numbers, of the whole report."""
    mark = "*" if counted.theoretical else ""
    return (
        name,
        f"{counted.dense:,}",
        f"{counted.expected:,.0f}{mark}",
        f"{counted.executed:,.0f}{mark}",
        f"{counted.gates:,.0f}",
        f"{counted.deliverable:,.0f}",
        heat(counted.relative, mark),
        heat(counted.usage),
        heat(counted.open_ratio),
        heat(counted.varying),
    )
