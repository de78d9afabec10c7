"""What `benchmark` measured, as a table and as numbers."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from keras_dynamicgate.utils.tables import as_text, make_table

HEADS = ("batch", "run", "median", "p90", "samples/s", "ratio to dense", "ratio to limit")

FOOTNOTES = (
    "ratio to dense: how many times faster than the same network with every gate open.",
    "ratio to limit: time that the multiply-accumulates alone would allow (dense time x relative "
    "MACs) over the time taken; 1 is the most that skipping can give.",
)

BEYOND_LIMIT = (
    "A ratio to limit above 1 is more than skipping can give: the runs then differ in other ways "
    "as well, such as the time that the backend takes to start a call, or what fits into a cache."
)


@dataclasses.dataclass(frozen=True)
class Timing:
    """The speed of one way of running a model at one batch size.

    Attributes:
        name: `"dense"`, `"masked"`, `"compact"` or `"engine"`.
        batch_size: Integer.
        median: Milliseconds of a call.
        p90: Milliseconds within which 90 % of the calls finish.
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
        """Return everything in the report as a dict that `json.dump` takes."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        title = f"Milliseconds per batch ({self.backend}, relative MACs {self.relative:.3f})"
        return as_text([make_table(title, HEADS, self._rows(), texts=("run",))], self._footnotes())

    def _footnotes(self) -> list[str]:
        beyond = any(round(timing.ratio_to_limit, 2) > 1 for timing in self.timings)
        return [*FOOTNOTES, *([BEYOND_LIMIT] if beyond else []), *self.notes]

    def _rows(self) -> Iterator[tuple[str, ...] | None]:
        for before, timing in zip([None, *self.timings], self.timings, strict=False):
            same = before is not None and before.batch_size == timing.batch_size
            if before is not None and not same:
                yield None
            yield (
                "" if same else str(timing.batch_size),
                timing.name,
                f"{timing.median:.3f}",
                f"{timing.p90:.3f}",
                f"{timing.throughput:,.0f}",
                f"{timing.ratio_to_dense:.2f}",
                f"{timing.ratio_to_limit:.2f}",
            )
