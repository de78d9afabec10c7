"""What a model is that was trained for several budgets at once, at each of them and between."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.counting.count import count_macs
from keras_dynamicgate.datasets import Dataset
from keras_dynamicgate.elastic.set_budget import set_budget
from keras_dynamicgate.experiments.measures import BATCH_SIZE, measure

MONOTONE_BUDGETS = 50
MONOTONE_SAMPLES = 100


def measure_range(
    model: keras.Model, dataset: Dataset, reference_macs: int, targets: Sequence[float]
) -> dict[float, dict[str, Any]]:
    """Measure one model at each of the budgets that it was trained for, and between them.

    Args:
        model: A Keras model that `MacBudget` has trained for several budgets.
        dataset: The `Dataset`.
        reference_macs: Integer, the multiply-accumulates of the full dense network.
        targets: List of floats, these budgets, the largest first, where the model stands again
            when all are measured.

    Returns:
        Dict from each budget to what `measure` gives there, with `between`, the same halfway to the
        next smaller one but only budget, accuracy and relative MACs, or `None` at the smallest, and
        `monotone`, whether of 50 budgets in the range a smaller one never costs more.
    """
    monotone = _is_monotone(model, dataset, targets)
    smaller = [*targets[1:], None]
    measured = {}
    for target, following in zip(targets, smaller, strict=True):
        between = following and _between(model, dataset, math.sqrt(target * following))
        set_budget(model, target)
        measured[target] = {
            **measure(model, dataset, reference_macs),
            "between": between,
            "monotone": monotone,
        }
    set_budget(model, targets[0])
    return measured


def _between(model: keras.Model, dataset: Dataset, budget: float) -> dict[str, float]:
    set_budget(model, budget)
    x, y = dataset.test[:]
    predicted = model.predict(x, batch_size=BATCH_SIZE, verbose=0).argmax(axis=1)
    return {
        "budget": budget,
        "accuracy": float(np.mean(predicted == y)),
        "relative_macs": count_macs(model, x, BATCH_SIZE).relative,
    }


def _is_monotone(model: keras.Model, dataset: Dataset, targets: Sequence[float]) -> bool:
    x, _ = dataset.test[:MONOTONE_SAMPLES]
    costs = []
    for budget in np.geomspace(targets[-1], targets[0], MONOTONE_BUDGETS):
        # Rounding may take the ends out of the range.
        set_budget(model, float(np.clip(budget, targets[-1], targets[0])))
        costs.append(count_macs(model, x).relative)
    return costs == sorted(costs)
