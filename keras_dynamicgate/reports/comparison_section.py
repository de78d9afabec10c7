"""The section on a comparison: accuracy against relative MACs."""

from collections.abc import Iterator, Sequence

from keras_dynamicgate.reports.charts import legend, scatter
from keras_dynamicgate.reports.markup import Markup, element, section, table
from keras_dynamicgate.reports.results import ResultRow, best_runs

HEADS = ("model", "target", "runs", "accuracy", "lowest", "highest", "relative MACs")
AXES = ("relative MACs", "accuracy")


def comparison_section(runs: Sequence[ResultRow]) -> Markup:
    """Write the picture and the table of the runs of a comparison."""
    models = list(dict.fromkeys(run.model for run in runs))
    front = best_runs(runs)
    groups = [[_point(run) for run in runs if run.model == model] for model in models]
    on_front = ", ".join(dict.fromkeys(run.model for run in front))
    summary = (
        f"Accuracy of {len(runs):,} runs against their relative MACs. The dashed line joins the "
        f"runs that no other run beats in both: {on_front}."
    )
    picture = scatter(groups, [_point(run) for run in front], AXES, summary)
    return section(
        "comparison",
        "Accuracy against MACs",
        element("figure", element("figcaption", summary), picture, legend(models)),
        table("Means over runs", HEADS, _rows(runs)),
    )


def _point(run: ResultRow) -> tuple[float, float]:
    return run.relative_macs, run.accuracy


def _rows(runs: Sequence[ResultRow]) -> Iterator[tuple[str, ...]]:
    for model, target in dict.fromkeys((run.model, run.target) for run in runs):
        mine = [run for run in runs if (run.model, run.target) == (model, target)]
        accuracies = [run.accuracy for run in mine]
        yield (
            model,
            target or "–",
            str(len(mine)),
            f"{sum(accuracies) / len(mine):.2%}",
            f"{min(accuracies):.2%}",
            f"{max(accuracies):.2%}",
            f"{sum(run.relative_macs for run in mine) / len(mine):.3f}",
        )
