"""Training one run of a comparison, with a teacher if the family has one."""

import dataclasses
import time
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.callbacks.gate_summary import GateSummary
from keras_dynamicgate.datasets import Dataset, Split
from keras_dynamicgate.experiments.elastic import measure_range
from keras_dynamicgate.experiments.families import FAMILIES, split_name
from keras_dynamicgate.experiments.measures import measure
from keras_dynamicgate.experiments.networks import dense_macs
from keras_dynamicgate.experiments.store import Run, RunStore
from keras_dynamicgate.experiments.tasks import Task
from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.pictures.figure import available, save
from keras_dynamicgate.pictures.gates import plot_gates

TEACHER = "dropout"
SUMMARY_SAMPLES = 1000
HISTORY = ("val_accuracy", "gate_usage", "open_ratio", "relative_macs")


class Trainer:
    """Train the runs of a comparison and put the results into the store.

    Args:
        task: The `Task`.
        dataset: The `Dataset` of the task.
        store: The `RunStore`.
        drawn_seed: Integer, the seed whose models get a picture of their gates.
        targets: Floats, the budgets for which elastic families train one model.
    """

    def __init__(
        self,
        task: Task,
        dataset: Dataset,
        store: RunStore,
        drawn_seed: int,
        targets: Iterable[float] = (),
    ) -> None:
        self.task = task
        self.dataset = dataset
        self.store = store
        self.drawn_seed = drawn_seed
        self.targets = sorted(set(targets), reverse=True)
        self.reference_macs = dense_macs(task, dataset, task.hidden)

    def train(
        self, run: Run, progress: Iterable[keras.callbacks.Callback] = ()
    ) -> dict[Run, dict[str, Any]]:
        """Train and measure one run, or with it all runs of the same elastic model.

        Args:
            run: The `Run`.
            progress: Callbacks for `fit` that show the progress.

        Returns:
            Dict from each run to its result as it is in the store.
        """
        family, distilled = split_name(run.model)
        teacher = self._teacher(run.seed) if distilled else None
        keras.utils.clear_session()
        keras.utils.set_random_seed(run.seed)
        task = self.task
        if distilled:
            task = dataclasses.replace(task, dropout=task.distilled_dropout)
        elastic = FAMILIES[family].elastic
        target = self.targets if elastic else run.target
        contender = FAMILIES[family].build(task, self.dataset, target)
        callbacks = [*contender.callbacks, *self._summary(contender.model), *progress]
        start = time.perf_counter()
        history = self.task.recipe.train(
            contender.model, self.dataset, callbacks, seed=run.seed, teacher=teacher, verbose=0
        ).history
        made = {"seconds": time.perf_counter() - start, "settings": contender.settings}
        results = self._measured(run, contender.model, elastic)
        # An elastic model was trained, and stands, at its largest budget.
        at_largest = max(results, key=lambda each: each.target or 0.0)
        self._keep(at_largest, contender.model)
        for each, result in results.items():
            result |= {**made, "history": _rounded(history) if each is at_largest else {}}
            self.store.add(each, result)
        return results

    def _measured(self, run: Run, model: keras.Model, elastic: bool) -> dict[Run, dict[str, Any]]:
        if not elastic:
            return {run: measure(model, self.dataset, self.reference_macs)}
        at_each = measure_range(model, self.dataset, self.reference_macs, self.targets)
        return {dataclasses.replace(run, target=each): found for each, found in at_each.items()}

    def _summary(self, model: keras.Model) -> list[keras.callbacks.Callback]:
        if not gated_layers(model):
            return []
        split = self.dataset.validation if len(self.dataset.validation) else self.dataset.train
        return [GateSummary(split[:SUMMARY_SAMPLES][0], verbose=0)]

    def _teacher(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the teacher's logits for the training and the validation split."""
        run = Run(TEACHER, None, seed)
        if not self.store.teacher_path(run).exists():
            self.train(run)
        logits = self.store.teacher(run)
        return logits["train"], logits["validation"]

    def _keep(self, run: Run, model: keras.Model) -> None:
        """Store what later runs and pictures need of a model."""
        if run.model == TEACHER:
            splits = {name: getattr(self.dataset, name) for name in ("train", "validation")}
            logits = {name: self._logits(model, split) for name, split in splits.items()}
            self.store.add_teacher(run, logits)
        if gated_layers(model) and run.seed == self.drawn_seed and available():
            x, y = self.dataset.test[:]
            figure = plot_gates(model, x, y, self.dataset.class_names)
            save(figure, self.store.folder / f"gates-{run}.png")

    def _logits(self, model: keras.Model, split: Split) -> np.ndarray:
        if not len(split):
            # Keras cannot predict zero samples.
            return np.zeros((0, self.dataset.num_classes), "float32")
        return model.predict(split.batches(512), verbose=0)


def _rounded(history: dict[str, list[float]]) -> dict[str, list[float]]:
    return {
        name: [round(float(value), 4) for value in history[name]]
        for name in HISTORY
        if name in history
    }
