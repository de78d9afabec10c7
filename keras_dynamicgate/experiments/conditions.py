"""What all runs of a comparison must have in common."""

import dataclasses
import hashlib
import platform
from importlib import metadata
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.datasets import Dataset
from keras_dynamicgate.experiments.tasks import Task


def conditions(task: Task, dataset: Dataset) -> dict[str, Any]:
    """Describe all that the runs of one comparison must have in common."""
    described = dataclasses.asdict(task)
    del described["load"], described["quick_epochs"]
    backend = keras.backend.backend()
    return {
        "task": described,
        "data": _describe(dataset),
        "backend": backend,
        "versions": {name: metadata.version(name) for name in ("keras", backend)},
        "machine": platform.machine(),
    }


def _describe(dataset: Dataset) -> dict[str, Any]:
    """Describe a data set by the sizes of its splits and a fingerprint of its labels."""
    splits = {name: getattr(dataset, name) for name in ("train", "validation", "test")}
    labels = hashlib.sha256()
    for split in splits.values():
        labels.update(np.asarray(split.y, "<i4").tobytes())
    return {
        **{name: len(split) for name, split in splits.items()},
        "classes": dataset.num_classes,
        "labels": labels.hexdigest()[:16],
    }
