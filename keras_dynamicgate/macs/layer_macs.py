"""`LayerMacs`: what one layer costs."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class LayerMacs:
    """What one layer costs per sample, in multiply-accumulates.

    Attributes:
        name: Name of the layer; layers of inner models as `model/layer`.
        dense: With everything open, without gate networks.
        expected: Weighted by gate probabilities.
        executed: Weighted by masks: what an execution runs that skips all that is closed.
        gates: What the gate network of the layer runs.
        deliverable: What remains with `compact` and the engine or `execution="skip"`, the gate
            network included.
        usage: Mean gate probability, or `None` for a layer without gates.
        open_ratio: Mean of the mask, or `None` for a layer without gates.
        gate_count: The number of gates.
        varying: Share of the gates that are open for 5 to 95 % of the inputs, or `None` for a layer
            without gates that depend on the input.
        bits: What a gate tells about the label on average, in bits, or `None` without labels.
        theoretical: Whether `executed` counts single weights as saved that were pruned or never
            there. Without special kernels that saves no time.
        not_delivered: The reason why `deliverable` is more than `executed` and `gates`, or `None`
            if it is not.
    """

    name: str
    dense: int
    expected: float
    executed: float
    gates: float
    deliverable: float
    usage: float | None = None
    open_ratio: float | None = None
    gate_count: int = 0
    varying: float | None = None
    bits: float | None = None
    theoretical: bool = False
    not_delivered: str | None = None

    @property
    def relative(self) -> float | None:
        """Relative MACs, `(executed + gates) / dense`, or `None` for a layer without MACs."""
        return (self.executed + self.gates) / self.dense if self.dense else None
