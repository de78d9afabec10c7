"""What `benchmark` measured, as a table and as numbers."""

import dataclasses
import io
from typing import Any

from rich.console import Console
from rich.table import Table

FOOTNOTES = (
    "ratio to dense: how many times faster than the same network with every gate open.",
    "ratio to limit: time that the multiply-accumulates alone would allow (dense time x relative "
    "MACs) over the time taken; 1 is all that skipping can give.",
)

BEYOND_LIMIT = (
    "A ratio to limit above 1 is more than skipping gives: the runs then differ in other things, "
    "too, such as the time that the backend takes to start a call, or what still fits a cache."
)


@dataclasses.dataclass(frozen=True)
class Timing:
    """How fast one way of running a model is at one batch size.

    Attributes:
        name: `"dense"`, `"masked"`, `"compact"` or `"engine"`.
        batch_size: Integer.
        median: Milliseconds of a call.
        p90: Milliseconds that 90 % of the calls stay below.
        throughput: Samples per second, by the median.
        ratio_to_dense: Median of the dense reference over this one.
        ratio_to_limit: Dense median times relative MACs over this median.
        calls: The number of calls measured.
    """

    name: str
    batch_size: int
    median: float
    p90: float
    throughput: float
    ratio_to_dense: float
    ratio_to_limit: float
    calls: int


@dataclasses.dataclass
class BenchmarkReport:
    """What `benchmark` measured; `print(report)` shows a table.

    Attributes:
        relative: Relative MACs of the model on the samples given, gate networks included.
        backend: Keras's backend, which ran all but the engine.
        timings: List of `Timing`.
        notes: List of sentences on what was not measured and why.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)), keras_dynamicgate.DynamicGateDense(64, top_k=8)
        ... ])
        >>> x = np.ones((4, 64))
        >>> report = keras_dynamicgate.benchmark(model, x, batch_sizes=(4,), seconds=0.1)
        >>> [timing.batch_size for timing in report.timings if timing.name == "masked"]
        [4]
    """

    relative: float
    backend: str
    timings: list[Timing]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Give everything in the report as a dict that `json.dump` takes."""
        return dataclasses.asdict(self)

    def __str__(self):
        output = io.StringIO()
        console = Console(file=output, width=100, color_system=None, force_jupyter=False)
        console.print(self._table())
        for note in self._footnotes():
            console.print(note, highlight=False, markup=False)
        return output.getvalue().rstrip()

    def _footnotes(self):
        beyond = any(round(timing.ratio_to_limit, 2) > 1 for timing in self.timings)
        return [*FOOTNOTES, *([BEYOND_LIMIT] if beyond else []), *self.notes]

    def _table(self):
        title = f"Milliseconds per batch ({self.backend}, relative MACs {self.relative:.3f})"
        table = Table(title=title, title_justify="left")
        heads = (
            "batch",
            "run",
            "median",
            "p90",
            "samples/s",
            "ratio to dense",
            "ratio to limit",
        )
        for head in heads:
            table.add_column(head, justify="left" if head == "run" else "right")
        for before, timing in zip([None, *self.timings], self.timings, strict=False):
            same = before is not None and before.batch_size == timing.batch_size
            if before is not None and not same:
                table.add_section()
            table.add_row(
                "" if same else str(timing.batch_size),
                timing.name,
                f"{timing.median:.3f}",
                f"{timing.p90:.3f}",
                f"{timing.throughput:,.0f}",
                f"{timing.ratio_to_dense:.2f}",
                f"{timing.ratio_to_limit:.2f}",
            )
        return table
