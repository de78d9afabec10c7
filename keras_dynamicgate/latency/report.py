"""`TimeReport`: how many milliseconds a model takes, layer by layer, as a table and as numbers."""

import dataclasses
from typing import Any

from keras_dynamicgate.latency.setup import Setup
from keras_dynamicgate.utils.tables import as_text, make_table

HEADS = ("layer", "full", "now", "relative")
REST = "rest"
FOOTNOTE = (
    "full: with every gate open. rest: layers that no gates make quicker, and what a call costs "
    "beside the layers."
)


@dataclasses.dataclass(frozen=True)
class LayerTime:
    """What a layer takes, in milliseconds.

    Attributes:
        name: Name of the layer.
        milliseconds: As its gates stand.
        full_milliseconds: With every gate open.
    """

    name: str
    milliseconds: float
    full_milliseconds: float


@dataclasses.dataclass(frozen=True)
class TimeReport:
    """How many milliseconds a call takes by a latency table; `print(report)` shows a table.

    Attributes:
        layers: List of `LayerTime`, of the layers that gates make quicker.
        rest: Milliseconds of all else.
        samples: The number of samples that were averaged over, `None` without data.
        setup: `Setup`, where and how the table was measured.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras_dynamicgate.DynamicGate(),
        ...     keras.layers.Dense(128),
        ... ])
        >>> table = keras_dynamicgate.LatencyTable.measure(model, rounds=2, verbose=0)
        >>> report = keras_dynamicgate.predict_time(model, table)
        >>> [layer.name for layer in report.layers] == [model.layers[1].name]
        True
    """

    layers: list[LayerTime]
    rest: float
    samples: int | None
    setup: Setup

    @property
    def milliseconds(self) -> float:
        """Milliseconds of a call as the gates stand."""
        return self.rest + sum(layer.milliseconds for layer in self.layers)

    @property
    def full_milliseconds(self) -> float:
        """Milliseconds of a call with every gate open."""
        return self.rest + sum(layer.full_milliseconds for layer in self.layers)

    @property
    def relative(self) -> float:
        """The share of the full network's time: `milliseconds / full_milliseconds`."""
        return self.milliseconds / self.full_milliseconds

    def to_dict(self) -> dict[str, Any]:
        """Give everything in the report as a dict for `json.dump`."""
        totals = ("milliseconds", "full_milliseconds", "relative")
        return {**{name: getattr(self, name) for name in totals}, **dataclasses.asdict(self)}

    def __str__(self) -> str:
        rows = [
            _cells(layer.name, layer.full_milliseconds, layer.milliseconds)
            for layer in (*self.layers, LayerTime(REST, self.rest, self.rest))
        ]
        totals = _cells("total", self.full_milliseconds, self.milliseconds)
        setup = self.setup
        title = f"Milliseconds per batch of {setup.batch_size} ({setup.runtime}, {setup.backend})"
        how = f"Measured on {setup.processor}, {setup.threads} thread(s)."
        if self.samples is not None:
            how += f" Masks averaged over {self.samples:,} samples."
        return as_text([make_table(title, HEADS, rows, totals=totals)], [FOOTNOTE, how])


def _cells(name: str, full: float, now: float) -> tuple[str, ...]:
    return name, f"{full:.4f}", f"{now:.4f}", f"{now / full:.3f}" if full else ""
