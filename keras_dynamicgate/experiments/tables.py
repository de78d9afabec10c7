"""Results averaged over seeds, as tables for the terminal and for Markdown."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from keras_dynamicgate.experiments.families import place
from keras_dynamicgate.utils.tables import make_table

HEADS = (
    "model",
    "budget",
    "accuracy",
    "macro-F1",
    "open ratio",
    "relative MACs",
    "of these gates",
    "settings",
)


@dataclasses.dataclass(frozen=True)
class Line:
    """Mean and standard deviation over the seeds of one model at one budget.

    Attributes:
        model: Name of the family.
        target: Float, the budget of relative MACs, or `None`.
        seeds: Integer, the number of runs.
        mean: Dict from the name of each measure to its mean.
        deviation: The same for the sample standard deviations; 0 for a single run.
        theoretical: Whether the multiply-accumulates count weights that no dense product can skip.
        settings: Dict of the choices made for this family and budget.
        validation: Float, the mean accuracy on the validation split after the last epoch, or `None`
            where there is no such split.
    """

    model: str
    target: float | None
    seeds: int
    mean: dict[str, float]
    deviation: dict[str, float]
    theoretical: bool
    settings: dict[str, Any]
    validation: float | None


MEASURED = (
    "accuracy",
    "macro_f1",
    "open_ratio",
    "relative_macs",
    "relative_without_gates",
    "seconds",
)


def summarise(runs: Iterable[dict[str, Any]]) -> list[Line]:
    """Average the runs of each model and budget over their seeds.

    Args:
        runs: List of dicts as `compare` returns them.

    Returns:
        List of `Line`, models without a budget first, then from large to small budgets.

    Raises:
        ValueError: If the settings of a model at one budget differ between seeds.
    """
    groups: dict = {}
    for run in runs:
        groups.setdefault((run["model"], run["target"]), []).append(run)
    ordered = sorted(groups.items(), key=lambda item: _order(*item[0]))
    return [_line(model, target, group) for (model, target), group in ordered]


def _order(model: str, target: float | None) -> tuple[bool, float, tuple[int, bool]]:
    """Put models without a budget first, then large budgets before small ones."""
    return target is not None, -(target or 0.0), place(model)


def _line(model: str, target: float | None, runs: Sequence[dict[str, Any]]) -> Line:
    _check_settings(model, target, runs)
    values = {name: np.array([run[name] for run in runs], "float64") for name in MEASURED}
    histories = [run.get("history", {}).get("val_accuracy", []) for run in runs]
    several = len(runs) > 1
    return Line(
        model=model,
        target=target,
        seeds=len(runs),
        mean={name: float(value.mean()) for name, value in values.items()},
        deviation={
            name: float(value.std(ddof=1)) if several else 0.0 for name, value in values.items()
        },
        theoretical=any(run["theoretical"] for run in runs),
        settings=runs[0]["settings"],
        validation=float(np.mean([history[-1] for history in histories]))
        if all(histories)
        else None,
    )


def chosen(lines: Iterable[Line]) -> Line:
    """Choose the line that is best on the validation split, never by the test split.

    Args:
        lines: At least one `Line` of one data set; the first one wins a tie.

    Raises:
        ValueError: If a line has no accuracy on a validation split.
    """
    lines = list(lines)
    without = [line.model for line in lines if line.validation is None]
    if without:
        raise ValueError(
            "Argument `lines` must hold models that were measured on a validation split while they "
            f"were trained. Received: lines with {without} without one"
        )
    return max(lines, key=lambda line: line.validation or 0.0)


def _check_settings(model: str, target: float | None, runs: Sequence[dict[str, Any]]) -> None:
    first = runs[0]
    for run in runs:
        if run["settings"] != first["settings"]:
            at = "without a budget" if target is None else f"at budget {target:g}"
            raise ValueError(
                f"The runs of {model!r} {at} have different settings, so their mean would be "
                "meaningless. Delete these runs and run the comparison again. Received: "
                f"settings={first['settings']} with seed {first['seed']}, "
                f"settings={run['settings']} with seed {run['seed']}"
            )


def cells(line: Line) -> tuple[str, ...]:
    """Return the cells of a line in the order of `HEADS`."""
    gates = line.mean["relative_macs"] - line.mean["relative_without_gates"]
    return (
        line.model,
        "" if line.target is None else f"{line.target:g}",
        f"{percent(line)} %",
        f"{percent(line, 'macro_f1')} %",
        f"{line.mean['open_ratio']:.2f}",
        f"{line.mean['relative_macs']:.3f}" + (" *" if line.theoretical else ""),
        f"{gates:.3f}",
        ", ".join(f"{name} {_plain(value)}" for name, value in line.settings.items()),
    )


def markdown_table(summary: Sequence[Line]) -> str:
    """Lay out a summary as a Markdown table with a note on its numbers."""
    return f"{markdown(HEADS, [cells(line) for line in summary])}\n\n{note(summary)}"


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out rows of text as a Markdown table."""
    rows = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def note(summary: Sequence[Line]) -> str:
    """Explain the numbers of a summary."""
    seeds = sorted({line.seeds for line in summary})
    counts = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    counts = "one seed" if seeds == [1] else f"mean ± standard deviation over {counts} seeds"
    said = (
        f"Test split, hard masks, {counts}. Multiply-accumulates "
        "(MACs) are relative to the full dense network, gate networks and routers counted."
    )
    if any(line.theoretical for line in summary):
        said += (
            " *: theoretical, since single weights are left out, which saves no time without "
            "special kernels."
        )
    return said


def terminal_table(summary: Sequence[Line]) -> Table:
    """Lay out a summary as a table for the terminal, without the settings."""
    title = "Test split; MACs relative to the full dense network"
    rows = [cells(line)[:-1] for line in summary]
    table = make_table(title, HEADS[:-1], rows, texts=("model",))
    table.columns[0].no_wrap = True
    return table


def percent(line: Line, name: str = "accuracy") -> str:
    """Return the mean of a measure, and its spread over several seeds, in percent."""
    spread = f" ± {100 * line.deviation[name]:.2f}" if line.seeds > 1 else ""
    return f"{100 * line.mean[name]:.2f}{spread}"


def _plain(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
