"""Measurements of a trained model."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.counting.count import count_macs
from keras_dynamicgate.datasets import Dataset
from keras_dynamicgate.experiments import signatures
from keras_dynamicgate.experiments.choices import choices_of
from keras_dynamicgate.layers.dynamic_gate import DynamicGate

NOISE = 0.1
LONGEST_LIST = 1000
# Divides the sizes of most test splits: JAX compiles anew for a last batch of another size.
BATCH_SIZE = 500


def measure(model: keras.Model, dataset: Dataset, reference_macs: int) -> dict[str, Any]:
    """Measure a trained classifier on the test split, with hard masks.

    Args:
        model: A Keras model that returns logits of shape `(batch, classes)`.
        dataset: The `Dataset`.
        reference_macs: Integer, the multiply-accumulates of the full dense network.

    Returns:
        Dict of numbers that `json.dump` takes. Relative MACs are relative to `reference_macs`.
    """
    x, y = dataset.test[:]
    logits = model.predict(x, batch_size=BATCH_SIZE, verbose=0)
    report = count_macs(model, x, BATCH_SIZE)
    return {
        "accuracy": float(np.mean(logits.argmax(axis=1) == y)),
        "macro_f1": macro_f1(y, logits.argmax(axis=1), dataset.num_classes),
        "dense_macs": report.dense,
        "executed_macs": report.executed,
        "gate_macs": report.gates,
        "relative_macs": (report.executed + report.gates) / reference_macs,
        "relative_without_gates": report.executed / reference_macs,
        "theoretical": report.theoretical,
        "open_ratio": report.open_ratio,
        "open_ratio_by_layer": {
            layer.name: layer.open_ratio for layer in report.layers if layer.gate_count
        },
        "parameters": sum(math.prod(weight.shape) for weight in model.trainable_weights),
        "signatures": _signatures(model, x, y, logits),
        "open_features": _open_features(model, dataset),
    }


def macro_f1(labels: np.ndarray, predictions: np.ndarray, classes: int) -> float:
    """Average the F1 score over the classes, with the same weight for each.

    Args:
        labels: Integer array of shape `(samples,)`.
        predictions: Integer array of shape `(samples,)`.
        classes: Integer, the number of classes.

    Returns:
        Float from 0 to 1. A class that is neither present nor predicted is left out.

    Examples:
        >>> macro_f1(np.array([0, 0, 1]), np.array([0, 0, 0]), classes=2)
        0.4
    """
    scores = []
    for label in range(classes):
        present, predicted = labels == label, predictions == label
        if present.any() or predicted.any():
            scores.append(2 * np.sum(present & predicted) / (present.sum() + predicted.sum()))
    return float(np.mean(scores))


def _signatures(
    model: keras.Model, x: np.ndarray, y: np.ndarray, logits: np.ndarray
) -> dict[str, float] | None:
    chosen = choices_of(model, x, BATCH_SIZE)
    if chosen is None:
        return None
    random = np.random.default_rng(0)
    copies = [x + NOISE * x.std() * random.standard_normal(x.shape, "float32") for _ in range(2)]
    again: list[Any] = [choices_of(model, copy, BATCH_SIZE) for copy in copies]
    confidence = ops.convert_to_numpy(ops.softmax(logits)).max(axis=1)
    return {
        "difficulty_correlation": signatures.difficulty_correlation(
            confidence, chosen.mean(axis=1)
        ),
        "mutual_information": signatures.mutual_information(chosen, y),
        "usage_entropy": signatures.usage_entropy(chosen),
        "usage_variation": signatures.usage_variation(chosen),
        "varying": signatures.varying(chosen),
        "flip_rate": signatures.flip_rate(*again),
    }


def _open_features(model: keras.Model, dataset: Dataset) -> list[str] | None:
    """Name the inputs that static gates leave open, if they have names and are few."""
    if dataset.feature_names is None:
        return None
    for layer in model.layers:
        if isinstance(layer, DynamicGate):
            mask = ops.convert_to_numpy(layer(np.ones((1, len(dataset.feature_names)))))[0]
            names = [name for name, open in zip(dataset.feature_names, mask, strict=True) if open]
            return names if len(names) <= LONGEST_LIST else None
    return None
