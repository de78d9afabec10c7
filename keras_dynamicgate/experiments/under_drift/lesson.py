"""One run: a model learns a stream in one way, and what has become of it is measured."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.counting.count import count_macs
from keras_dynamicgate.experiments.under_drift.students import Student
from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.plasticity import (
    FadingAccuracy,
    flip_rate,
    open_units,
    set_update_mode,
    update_report,
)
from keras_dynamicgate.plasticity.prequential import hits

BATCH = 32
# Samples between two tries to open units, which go by as many of the latest ones.
BETWEEN_OPENINGS = 512
POINTS = 10
COUNTED = 500


@dataclasses.dataclass(frozen=True)
class Lesson:
    """What a model meets after the drift.

    Attributes:
        stream: Tuple of inputs and labels, in the order in which they come.
        drifted: The same for the test samples that come after the drift.
        kept: The same for the test samples of before whose answers stay right.
        reference: Inputs of before that must not be disturbed.
    """

    stream: tuple[np.ndarray, np.ndarray]
    drifted: tuple[np.ndarray, np.ndarray]
    kept: tuple[np.ndarray, np.ndarray]
    reference: np.ndarray


def learn(
    model: keras.Model, student: Student, lesson: Lesson, advance: Callable[[], None]
) -> dict[str, Any]:
    """Answer and learn the batches of a stream one after the other, and measure.

    Args:
        model: A compiled model.
        student: The way to learn.
        lesson: The `Lesson`.
        advance: Function that is called at each of the `POINTS` points of the curves.

    Returns:
        Dict of the measures.
    """
    before = model.get_weights()
    first, reference = (model.predict(x, verbose=0) for x in (lesson.kept[0], lesson.reference))
    start = _accuracies(model, lesson)
    set_update_mode(model, student.mode, lesson.reference)
    curves = _stream(model, student, lesson, advance)
    last = model.predict(lesson.kept[0], verbose=0)
    changed = model.predict(lesson.reference, verbose=0) != reference
    report = update_report(model, before)
    drifted, kept = (curves[name][-1] for name in ("drifted", "kept"))
    return {
        "accuracy": drifted,
        "kept": kept,
        "gained": drifted - start[0],
        "forgotten": start[1] - kept,
        "flips": flip_rate(first, last),
        "changed": float(changed.any(axis=-1).mean()),
        "stream": float(np.mean(curves["stream"])),
        "may_move": sum(weight.may_move for weight in report.weights),
        "moved": report.moved(),
        "update_macs": report.macs,
        "relative_macs": _relative_macs(model, lesson.kept[0]),
        "relative_macs_drifted": _relative_macs(model, lesson.drifted[0]),
        "curves": {name: [round(value, 4) for value in curve] for name, curve in curves.items()},
    }


def _stream(
    model: keras.Model, student: Student, lesson: Lesson, advance: Callable[[], None]
) -> dict[str, list[float]]:
    """Learn the stream and give the curves of the accuracies."""
    x, y = lesson.stream
    curves: dict[str, list[float]] = {"stream": [], "drifted": [], "kept": []}
    points = np.linspace(0, len(x), POINTS + 1)[1:]
    answered = FadingAccuracy(1.0)
    for start in range(0, len(x), BATCH):
        rows = slice(start, start + BATCH)
        end = min(rows.stop, len(x))
        answered.update(model.predict_on_batch(x[rows]), y[rows])
        model.train_on_batch(x[rows], y[rows])
        if student.opens and (end % BETWEEN_OPENINGS == 0 or end == len(x)):
            recent = slice(max(0, end - BETWEEN_OPENINGS), end)
            open_units(model, lesson.reference, x[recent], y[recent], tau=student.tau)
        while len(curves["stream"]) < POINTS and end >= points[len(curves["stream"])]:
            drifted, kept = _accuracies(model, lesson)
            curves["stream"].append(answered.accuracy)
            curves["drifted"].append(drifted)
            curves["kept"].append(kept)
            answered = FadingAccuracy(1.0)
            advance()
    return curves


def _accuracies(model: keras.Model, lesson: Lesson) -> tuple[float, float]:
    """Give the accuracy on drifted test samples and on those whose answers stay right."""
    drifted, kept = (
        float(hits(model.predict(x, batch_size=512, verbose=0), y).mean())
        for x, y in (lesson.drifted, lesson.kept)
    )
    return drifted, kept


def _relative_macs(model: keras.Model, x: np.ndarray) -> float:
    return count_macs(model, x[:COUNTED]).relative if gated_layers(model) else math.nan
