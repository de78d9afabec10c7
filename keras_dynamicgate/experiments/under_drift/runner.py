"""`drift`: runs each way to learn from a copy of the same trained model."""

import dataclasses
import pathlib
import time
from collections.abc import Sequence
from os import PathLike
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.datasets import Dataset, Split
from keras_dynamicgate.experiments import asked
from keras_dynamicgate.experiments.conditions import conditions
from keras_dynamicgate.experiments.progress import progress_of
from keras_dynamicgate.experiments.store import Run, RunStore
from keras_dynamicgate.experiments.tasks import Task
from keras_dynamicgate.experiments.under_drift import kinds, lesson, outputs, students
from keras_dynamicgate.experiments.under_drift.lesson import Lesson
from keras_dynamicgate.graph.state import save_at_once

MODES = (
    "none",
    "gates",
    "inactive",
    "both",
    "all",
    "head",
    "biases",
    "dense_all",
    "dense_low_rank",
)
SEEDS = 5
LARGEST_STREAM = 8000
LARGEST_REFERENCE = 2000


def drift(
    task: str | Task,
    kind: str = "noise",
    *,
    data_dir: str | PathLike[str] | None = None,
    modes: Sequence[str] = MODES,
    seeds: int | Sequence[int] = SEEDS,
    out: str | PathLike[str] | None = None,
    quick: bool = False,
) -> list[dict[str, Any]]:
    """Let each update mode learn the same drifted stream from a copy of the same trained model.

    Three quarters of the training split train the model, the last quarter is the stream, at most
    8,000 samples that come in batches of 32: each is answered, then learned. Up to 2,000 samples of
    before are the reference that must not be disturbed; a quarter of the units is reserved.

    Writes `results.json`, tables and pictures to a folder. A comparison that was stopped goes on at
    the run that was cut short.

    Args:
        task: Name of a data set with its network and recipe, a key of `TASKS`, or a `Task`.
        kind: What becomes of the data: `"noise"`, `"rotation"` or `"labels"`. Defaults to
            `"noise"`.
        data_dir: Folder with the original data. Defaults to `None`: it is downloaded.
        modes: Names of ways to learn, keys of `STUDENTS`. `"both"` opens units that learned while
            closed, `"both_lenient"` also for up to 5 % of the reference, `"both_by_gradient"`
            trains their gates instead; `_unlabelled` modes minimise the entropy of the answers;
            `dense_` ones are for the network without gates. Defaults to `MODES`.
        seeds: Integer, the number of seeds, counted from 0, or a sequence of seeds. Defaults to 5.
        out: Folder for models, results and pictures. Defaults to `None`: `runs/drift-TASK-KIND`.
        quick: Whether to train for only a few epochs and to learn a short stream, to check that
            everything works. Defaults to `False`.

    Returns:
        List of dicts, the results of all finished runs in `out`.

    Raises:
        ValueError: If a task, a kind, a mode or a seed is unknown, if the kind is for images and
            the task has none, or if `out` holds runs that were made under other conditions.

    Examples:
        >>> runs = keras_dynamicgate.experiments.drift(
        ...     "digits", modes=("dense_none",), seeds=1, quick=True, out="runs/drift"
        ... )
        >>> [run["model"] for run in runs]
        ['dense_none']
    """
    task = asked.task(task)
    task = task.quick() if quick else task
    _require_modes(modes)
    grid = [Run(mode, None, seed) for seed in asked.seeds(seeds) for mode in modes]
    dataset = task.dataset(data_dir)
    course = _Course(task, dataset, kind, LARGEST_STREAM // 10 if quick else LARGEST_STREAM)
    settings = {**conditions(task, dataset), "drift": kind, **course.sizes}
    store = RunStore(pathlib.Path(out or f"runs/drift-{task.name}-{kind}"), settings)
    missing = [run for run in grid if run not in store]
    if missing:
        with progress_of(len(missing), len(grid) - len(missing), lesson.POINTS) as progress:
            for run in missing:
                if run not in store:
                    progress.start(run)
                    result = course.run(run, store.folder, progress.advance)
                    store.add(run, result)
                    progress.finish(run, result)
    return outputs.write(store, task.name, kind)


class _Course:
    """The models and the stream of a comparison.

    Args:
        task: The `Task`.
        dataset: Its `Dataset`.
        kind: The kind of drift.
        largest: Integer, the longest stream.
    """

    def __init__(self, task: Task, dataset: Dataset, kind: str, largest: int) -> None:
        self.task = task
        self.drift = kinds.require(kind, dataset.train.element_spec[0].shape)
        begin = len(dataset.train) * 3 // 4
        self.dataset = dataclasses.replace(dataset, train=Split(*dataset.train[:begin]))
        labels = dataset.train.y[begin:]
        rows = begin + np.flatnonzero(self.drift.comes(labels))[:largest]
        self.stream = dataset.train[rows]
        old = np.flatnonzero(~self.drift.ends(dataset.train.y[:begin]))
        self.reference = dataset.train[old[:LARGEST_REFERENCE]][0]
        self.sizes = {"stream": len(rows), "reference": len(self.reference)}

    def run(self, run: Run, folder: pathlib.Path, advance: Any) -> dict[str, Any]:
        """Learn in one way from a copy of the trained model."""
        student = students.STUDENTS[run.model]
        start = time.perf_counter()
        model = students.ready(self._model(student.gated, run.seed, folder), student)
        keras.utils.set_random_seed(run.seed)
        result = lesson.learn(model, student, self._lesson(run.seed), advance)
        return {**result, "seconds": time.perf_counter() - start}

    def _lesson(self, seed: int) -> Lesson:
        drift = self.drift
        (x, y), (test_x, test_y) = self.stream, self.dataset.test[:]
        comes, stays = drift.comes(test_y), ~drift.ends(test_y)
        return Lesson(
            (drift.inputs(x, seed), drift.labels(y)),
            (drift.inputs(test_x[comes], seed + 1), drift.labels(test_y[comes])),
            (test_x[stays], test_y[stays]),
            self.reference,
        )

    def _model(self, gated: bool, seed: int, folder: pathlib.Path) -> keras.Model:
        """Load the model of a seed, after training it if nobody has."""
        path = folder / "models" / f"{'gated' if gated else 'dense'}-{seed}.keras"
        if not path.exists():
            model = students.trained(self.task, self.dataset, self.reference, gated, seed)
            path.parent.mkdir(exist_ok=True)
            save_at_once(model, path)
        return keras.models.load_model(path, compile=False)


def _require_modes(modes: Sequence[str]) -> None:
    names = asked.listed(modes)
    if not names or not all(name in students.STUDENTS for name in names):
        raise ValueError(
            f"Argument `modes` must hold names among {', '.join(students.STUDENTS)}. "
            f"Received: modes={modes!r}"
        )
