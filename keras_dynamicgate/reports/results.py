"""Results of a comparison: reading them, and finding the runs that no other run beats."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.pareto import pareto_front

FORMAT = '{"runs": [{"model": "gated", "target": 0.3, "accuracy": 0.98, "relative_macs": 0.29}]}'


@dataclasses.dataclass(frozen=True)
class ResultRow:
    """What a comparison says of one trained model.

    Attributes:
        model: The name of the model.
        target: Its budget as text, empty if it has none.
        accuracy: A number from 0 to 1.
        relative_macs: A number of at least 0.
    """

    model: str
    target: str
    accuracy: float
    relative_macs: float


def read_runs(results: Any) -> list[ResultRow]:
    """Read and check the content of a `results.json`.

    Args:
        results: Dict with a list of runs under `"runs"`. Each has `"model"`, `"accuracy"` and
            `"relative_macs"`, and may have `"target"`.

    Returns:
        List of `ResultRow`.

    Raises:
        ValueError: If `results` is anything else.
    """
    runs = results.get("runs") if isinstance(results, dict) else None
    if not isinstance(runs, list) or not runs:
        received = list(results) if isinstance(results, dict) else type(results).__name__
        raise ValueError(
            f"Argument `results` must be a dict with a list of runs, such as {FORMAT}. "
            f"Received: results={received}"
        )
    return [_row(number, run) for number, run in enumerate(runs)]


def _row(number: int, run: Any) -> ResultRow:
    place = f"results['runs'][{number}]"
    if not isinstance(run, dict) or not isinstance(run.get("model"), str):
        raise ValueError(
            f"Argument `{place}` must be a dict with the name of a `model`, such as those in "
            f"{FORMAT}. Received: {place}={run!r}"
        )
    accuracy: Any = run.get("accuracy")
    relative_macs: Any = run.get("relative_macs")
    checks.number(f"{place}['accuracy']", accuracy, "from 0 to 1", lambda a: 0 <= a <= 1)
    checks.number(
        f"{place}['relative_macs']", relative_macs, "of at least 0", lambda share: share >= 0
    )
    target = "" if run.get("target") is None else str(run["target"])
    return ResultRow(run["model"], target, accuracy, relative_macs)


def best_runs(runs: Iterable[ResultRow]) -> list[ResultRow]:
    """List the runs that no other run beats in accuracy and MACs, the cheapest first."""
    return pareto_front(runs, place=lambda run: (run.relative_macs, run.accuracy))
