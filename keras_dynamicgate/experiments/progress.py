"""Progress of a comparison: one bar for all runs, one for the epochs of the current run."""

import contextlib
import importlib.util
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import rich
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from keras_dynamicgate.experiments.store import Run


@contextlib.contextmanager
def progress_of(missing: int, finished: int, epochs: int) -> Iterator["ComparisonProgress"]:
    """Show progress while models are trained.

    Args:
        missing: Integer, the number of runs still to do.
        finished: Integer, the number of runs that are done already.
        epochs: Integer, the epochs of a run.

    Yields:
        A `ComparisonProgress`.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = _console()
    with Progress(*columns, TimeRemainingColumn(), console=console) as bars:
        yield ComparisonProgress(bars, missing, finished, epochs)
    if not console.is_terminal and not console.is_jupyter:
        console.line()  # which bars that cannot move do not end by themselves


def _console() -> Console:
    """Give the usual console but in a notebook that cannot move bars: there, lines are enough."""
    console = rich.get_console()
    if console.is_jupyter and importlib.util.find_spec("ipywidgets") is None:
        # Kernels say that they are terminals, where bars would be printed again and again.
        return Console(force_jupyter=False, force_terminal=False)
    return console


class ComparisonProgress:
    """The two bars and a line for each finished run."""

    def __init__(self, bars: Progress, missing: int, finished: int, epochs: int) -> None:
        self.bars = bars
        self.all_runs = bars.add_task("all runs", total=missing + finished, completed=finished)
        self.one_run = bars.add_task("", total=epochs)

    def start(self, run: Run) -> keras.callbacks.Callback:
        """Start the bar of a run and return the callback that advances it."""
        self.bars.reset(self.one_run, description=str(run))
        return _EpochBar(self.advance)

    def advance(self) -> None:
        """Advance the bar of the run by an epoch, or what its length counts."""
        self.bars.advance(self.one_run)

    def finish(self, run: Run, result: dict[str, Any]) -> None:
        """Count a run as finished and print its results."""
        self.bars.advance(self.all_runs)
        macs = result["relative_macs"]
        cost = "" if math.isnan(macs) else f"relative MACs {macs:.3f}  "
        self.bars.console.print(
            f"{str(run):32} accuracy {result['accuracy']:.2%}  {cost}{result['seconds']:.0f} s",
            highlight=False,
        )


class _EpochBar(keras.callbacks.Callback):
    def __init__(self, advance: Callable[[], None]) -> None:
        super().__init__()
        self.advance = advance

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.advance()
