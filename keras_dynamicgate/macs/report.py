"""`MacReport`: what a model costs, layer by layer, as a table and as numbers."""

import dataclasses
from typing import Any

from keras_dynamicgate.macs.layer_macs import LayerMacs
from keras_dynamicgate.utils.tables import as_text, make_table

HEADS = (
    "layer",
    "dense",
    "expected",
    "executed",
    "gates",
    "deliverable",
    "relative",
    "open ratio",
)

FOOTNOTE = (
    "Multiply-accumulates (MACs) of matrix products and convolutions per sample; biases, "
    "activations and normalisation are left out."
)
DELIVERABLE = (
    "Executed is what an execution runs that skips all that is closed. Deliverable is what "
    "remains, gate networks included, by `compact` for static gates and by the engine or "
    '`execution="skip"` for input-dependent ones: {:.3f} of dense.'
)
VARYING = (
    "Varying: {:.2f} of the input-dependent gates are open for 5 to 95 % of the inputs{}; the "
    "others could as well be static."
)
BITS = "Bits: {:.3f} on average is what an input-dependent gate tells about the label{}."
THEORETICAL = (
    "* theoretical: single weights that are 0 count as saved, but zeros scattered over a kernel "
    "save no time without special kernels."
)


@dataclasses.dataclass(frozen=True)
class MacReport:
    """What a model costs per sample, in multiply-accumulates (MACs).

    `print(report)` shows a table.

    Attributes:
        layers: List of `LayerMacs`, in the order of the model.
        samples: The number of samples that the masks were averaged over; `None` if input-dependent
            gates are given by the means of the last training batch.
        not_counted: Layers that no rule covers, as `"name (Type)"`.
        uncounted: What these cost at a guess: the numbers in their kernels times the positions of
            their outputs.

    Examples:
        >>> model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)])
        >>> report = keras_dynamicgate.count_macs(model)
        >>> report.dense, report.gates, report.relative
        (640, 0.0, 1.0)
    """

    layers: list[LayerMacs]
    samples: int | None
    not_counted: list[str]
    uncounted: int = 0

    @property
    def dense(self) -> int:
        """MACs with everything open, without gate networks."""
        return sum(layer.dense for layer in self.layers)

    @property
    def expected(self) -> float:
        """MACs weighted by gate probabilities, without gate networks."""
        return sum(layer.expected for layer in self.layers)

    @property
    def executed(self) -> float:
        """MACs weighted by masks, without gate networks."""
        return sum(layer.executed for layer in self.layers)

    @property
    def gates(self) -> float:
        """MACs of the gate networks."""
        return sum(layer.gates for layer in self.layers)

    @property
    def relative(self) -> float:
        """Relative MACs: `(executed + gates) / dense`."""
        return (self.executed + self.gates) / self.dense if self.dense else 1.0

    @property
    def relative_without_gates(self) -> float:
        """Executed over dense MACs: the layer-weighted metric of the paper."""
        return self.executed / self.dense if self.dense else 1.0

    @property
    def deliverable(self) -> float:
        """MACs that remain with `compact` and the engine or `execution="skip"`, of gates as well.

        A figure of what can be had, where `executed` and `gates` are what gates promise.
        """
        return sum(layer.deliverable for layer in self.layers)

    @property
    def relative_deliverable(self) -> float:
        """Deliverable over dense MACs."""
        return self.deliverable / self.dense if self.dense else 1.0

    @property
    def theoretical(self) -> bool:
        """Whether single weights count as saved in any layer, which by itself saves no time."""
        return any(layer.theoretical for layer in self.layers)

    @property
    def usage(self) -> float:
        """Mean gate probability over all gates of the model; 1 without gates."""
        return self._mean_over_gates("usage")

    @property
    def open_ratio(self) -> float:
        """Mean of the mask over all gates of the model; 1 without gates."""
        return self._mean_over_gates("open_ratio")

    @property
    def varying(self) -> float | None:
        """Share of the input-dependent gates that are open for 5 to 95 % of the inputs."""
        return self._sign("varying")

    @property
    def bits(self) -> float | None:
        """What an input-dependent gate tells about the label, in bits; `None` without labels."""
        return self._sign("bits")

    def _sign(self, attribute: str) -> float | None:
        """Average over the gates of the layers that have a sign; `None` if none has."""
        known = [layer for layer in self.layers if getattr(layer, attribute) is not None]
        if not known:
            return None
        total: float = sum(getattr(layer, attribute) * layer.gate_count for layer in known)
        return total / sum(layer.gate_count for layer in known)

    def _mean_over_gates(self, attribute: str) -> float:
        count = sum(layer.gate_count for layer in self.layers)
        if count == 0:
            return 1.0
        gated = [layer for layer in self.layers if layer.gate_count]
        total: float = sum(getattr(layer, attribute) * layer.gate_count for layer in gated)
        return total / count

    def to_dict(self) -> dict[str, Any]:
        """Give everything in the report as a dict for `json.dump`."""
        totals = (
            "dense",
            "expected",
            "executed",
            "gates",
            "deliverable",
            "relative",
            "relative_without_gates",
            "relative_deliverable",
            "usage",
            "open_ratio",
            "varying",
            "bits",
            "theoretical",
            "samples",
            "not_counted",
            "uncounted",
        )
        return {
            **{name: getattr(self, name) for name in totals},
            "layers": [dataclasses.asdict(layer) for layer in self.layers],
        }

    def __str__(self) -> str:
        mark = _mark(self)
        totals = [
            "total",
            f"{self.dense:,}",
            f"{self.expected:,.0f}{mark}",
            f"{self.executed:,.0f}{mark}",
            f"{self.gates:,.0f}",
            f"{self.deliverable:,.0f}",
            f"{self.relative:.3f}{mark}",
            f"{self.open_ratio:.3f}",
        ]
        rows = [_cells(layer) for layer in self.layers]
        return as_text([make_table("MACs per sample", HEADS, rows, totals=totals)], self.notes())

    def notes(self) -> list[str]:
        """Give the sentences under the table."""
        notes = [FOOTNOTE, "relative = (executed + gates) / dense."]
        notes += self._on_delivery()
        notes += self._on_signs()
        if self.theoretical:
            notes.append(THEORETICAL)
        if self.samples is None and any(layer.gate_count for layer in self.layers):
            notes.append(
                "Input-dependent gates by the means of the last training batch; pass `x` for masks."
            )
        elif self.samples is not None:
            notes.append(f"Masks averaged over {self.samples:,} samples.")
        if self.not_counted:
            guess = f", some {self.uncounted:,} MACs by their kernels" if self.uncounted else ""
            notes.append("Not counted: " + ", ".join(self.not_counted) + guess + ".")
        return notes

    def _on_signs(self) -> list[str]:
        """Say what shows that the gates decide by the input, and where it shows least."""
        notes = []
        for name, sentence, digits in (("varying", VARYING, 2), ("bits", BITS, 3)):
            total = getattr(self, name)
            if total is None:
                continue
            known = [(getattr(each, name), each.name) for each in self.layers]
            known = [pair for pair in known if pair[0] is not None]
            value, layer = min(known)
            least = f" (least in {layer}: {value:.{digits}f})" if len(known) > 1 else ""
            notes.append(sentence.format(total, least))
        return notes

    def _on_delivery(self) -> list[str]:
        """Say what is deliverable, and why it is less in some layers than their gates promise."""
        if not self.theoretical and not any(layer.gate_count for layer in self.layers):
            return []
        layers: dict[str, list[str]] = {}
        for layer in self.layers:
            if layer.not_delivered is not None:
                layers.setdefault(layer.not_delivered, []).append(layer.name)
        less = [
            f"Not all is delivered in {', '.join(names)}: {reason}."
            for reason, names in layers.items()
        ]
        return [DELIVERABLE.format(self.relative_deliverable), *less]


def _mark(counted: LayerMacs | MacReport) -> str:
    """Give the mark of the numbers of a layer or report that are theoretical."""
    return "*" if counted.theoretical else ""


def _cells(layer: LayerMacs) -> tuple[str, ...]:
    mark = _mark(layer)
    return (
        layer.name,
        f"{layer.dense:,}",
        f"{layer.expected:,.0f}{mark}",
        f"{layer.executed:,.0f}{mark}",
        f"{layer.gates:,.0f}" if layer.gate_count or layer.gates else "",
        f"{layer.deliverable:,.0f}",
        "" if layer.relative is None else f"{layer.relative:.3f}{mark}",
        "" if layer.open_ratio is None else f"{layer.open_ratio:.3f}",
    )
