"""What compaction removed, what it left and why."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras

from keras_dynamicgate import graph
from keras_dynamicgate.compaction.flat_model import FlatModel
from keras_dynamicgate.compaction.kept_gates import kept_by_gates
from keras_dynamicgate.compaction.rule import Rule, Whole
from keras_dynamicgate.utils.tables import as_text, make_table


@dataclasses.dataclass(frozen=True)
class CompactedLayer:
    """A layer and its number of output units, before and after; for inputs: those that are read."""

    name: str
    before: int
    after: int


@dataclasses.dataclass(frozen=True)
class KeptUnits:
    """Closed or unneeded units that stay, or gates of units that are always open.

    Attributes:
        layer: Name of the layer whose units they are.
        units: How many they are.
        because_of: Name of the layer that makes them stay.
        reason: Why it does.
    """

    layer: str
    units: int
    because_of: str
    reason: str


@dataclasses.dataclass(frozen=True)
class CompactionReport:
    """What `compact` did. `print(report)` shows it as tables.

    Attributes:
        layers: List of `CompactedLayer`, the layers that have fewer units or are gone.
        kept: List of `KeptUnits`.
        still_gated: Names of the layers of the new model that need this package to load.
        parameters_before: The number of parameters of the original model.
        parameters_after: The number of parameters of the new model.
        calibration_samples: The number of samples that gates were judged by, `None` without.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras_dynamicgate.DynamicGateDense(32, gate="static", block_size=1, top_k=8),
        ...     keras.layers.Dense(10),
        ... ])
        >>> small, report = keras_dynamicgate.compact_with_report(model)
        >>> [(layer.before, layer.after) for layer in report.layers]
        [(32, 8)]
    """

    layers: list[CompactedLayer]
    kept: list[KeptUnits]
    still_gated: list[str]
    parameters_before: int
    parameters_after: int
    calibration_samples: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give everything in the report as a dict that `json.dump` takes."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        rows = [(layer.name, f"{layer.before:,}", f"{layer.after:,}") for layer in self.layers]
        tables = [make_table("Output units", ("layer", "before", "after"), rows)]
        if self.kept:
            heads = ("layer", "units", "because of", "reason")
            kept = [(k.layer, f"{k.units:,}", k.because_of, k.reason) for k in self.kept]
            texts = ("layer", "because of", "reason")
            tables.append(make_table("What stays", heads, kept, texts=texts))
        return as_text(tables, self._notes())

    def _notes(self) -> list[str]:
        notes = [f"Parameters: {self.parameters_before:,} before, {self.parameters_after:,} after."]
        if self.calibration_samples is not None:
            notes.append(
                "Gates that were never or always open were judged by "
                f"{self.calibration_samples:,} samples; on other inputs the outputs may differ."
            )
        if self.still_gated:
            notes.append(f"Still gated: {', '.join(self.still_gated)}.")
        return notes


def make_report(
    model: keras.Model, small: keras.Model, steps: FlatModel, is_gated: Callable[[Any], bool]
) -> CompactionReport:
    """Make the report on a finished compaction.

    Args:
        model: The original model.
        small: The new one.
        steps: The analysed `FlatModel` of the original.
        is_gated: Function that tells whether a layer is one of this package.
    """
    calibration = steps.calibration
    return CompactionReport(
        layers=_changed(steps),
        kept=_kept(steps),
        still_gated=[layer.name for layer in graph.all_layers(small) if is_gated(layer)],
        parameters_before=model.count_params(),
        parameters_after=small.count_params(),
        calibration_samples=None if calibration is None else calibration.samples,
    )


def reasons_by_layer(steps: FlatModel) -> dict[str, str]:
    """Give for layers that compute or read closed units the reason why they do.

    Args:
        steps: An analysed `FlatModel`.

    Returns:
        Dict from the path of a layer to a reason. What is said of a layer is also said of those
        inside it.
    """
    reasons = {
        step.path: step.rule.reason for step in steps.steps if type(step.rule) in (Rule, Whole)
    }
    paths = {step.name: step.path for step in steps.steps}
    for entry in _kept(steps):
        because_of = paths.get(entry.because_of)
        if because_of is not None:
            reasons.setdefault(because_of, entry.reason)
        if entry.layer in paths:
            other = f"of {because_of}: " if because_of is not None else ""
            reasons.setdefault(paths[entry.layer], f"{other}{entry.reason}")
    return {path: reason for path, reason in reasons.items() if reason}


def _changed(steps: FlatModel) -> list[CompactedLayer]:
    layers = [
        CompactedLayer(name, slot.width, int(slot.needed.sum()))
        for name, slot in zip(steps.input_names, steps.inputs, strict=True)
        if not slot.needed.all()
    ]
    for step in steps.steps:
        slot = step.outputs[0]
        after = int(slot.kept.sum()) if step.alive else 0
        if after < slot.width and getattr(step.operation, "weights", None):
            layers.append(CompactedLayer(step.name, slot.width, after))
    return layers


def _kept(steps: FlatModel) -> list[KeptUnits]:
    kept: list[KeptUnits] = []
    for step in steps.steps:
        if not step.alive:
            continue
        for slot, mask, reason in step.rule.stays(step):
            _add(kept, steps.source(slot), mask & ~slot.put_back, step.name, reason)
        why_unneeded = step.rule.why_unneeded(step)
        for slot in step.outputs if why_unneeded else ():
            _add(kept, step.name, slot.kept & ~slot.needed, step.name, why_unneeded)
        for entry in kept_by_gates(step, steps.calibration):
            _add(kept, *entry)
    for slot in steps.outputs:
        computed = slot.known & ~slot.put_back
        _add(kept, steps.source(slot), computed, "", "they are outputs of the model")
    return kept


def _add(kept: list[KeptUnits], layer: Any, mask: Any, because_of: str, reason: str | None) -> None:
    entry = KeptUnits(layer, int(mask.sum()), because_of, reason or "")
    # A layer that is called twice keeps its units once.
    if entry.units and entry not in kept:
        kept.append(entry)
