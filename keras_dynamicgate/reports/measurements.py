"""One pass of a model over samples: the gates, the cost and the prediction of each sample."""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating.record import GateRecord, record_batches
from keras_dynamicgate.macs.cost import ModelCost
from keras_dynamicgate.macs.model_cost import model_cost


@dataclasses.dataclass
class GateMeasurements:
    """What the gates of one layer do.

    Attributes:
        open_ratio: Array of shape `(samples,)`, the mean of each sample's mask.
        usage: Array of shape `(samples,)`, the mean of each sample's gate probabilities.
        by_gate: Array of shape `(gates,)`, the share of the samples that open each gate.
        input_dependent: Boolean, whether the gates differ from sample to sample.
    """

    open_ratio: np.ndarray
    usage: np.ndarray
    by_gate: np.ndarray
    input_dependent: bool


@dataclasses.dataclass
class Measurements:
    """What a model does with each sample.

    Attributes:
        gates: Dict from the name of a layer to its `GateMeasurements`, in the order of the model.
        executed: Array of shape `(samples,)`, the executed MACs.
        of_gates: Array of shape `(samples,)`, the MACs of the gate networks.
        predicted: Integer array of shape `(samples,)`, the predicted class of each sample, or
            `None` if the model is not a classifier.
        confidence: Array of shape `(samples,)`, the probability of that class, or `None`.
    """

    gates: dict[str, GateMeasurements]
    executed: np.ndarray
    of_gates: np.ndarray
    predicted: np.ndarray | None = None
    confidence: np.ndarray | None = None


def measure(model: keras.Model, x: Any, batch_size: int = 256) -> Measurements:
    """Run a model on samples and record what its gates do.

    Args:
        model: A built Sequential or Functional model.
        x: Inputs as for `model.predict`.
        batch_size: Integer, the number of samples that run at once. Defaults to 256.

    Returns:
        `Measurements`.

    Raises:
        ValueError: If the cost of the model cannot be counted or there are no samples.
    """
    cost = model_cost(model, x)
    batches = []
    for rows, record in record_batches(model, x, batch_size):
        batches.append(_batch(cost, record, rows.stop - rows.start))
    joined = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    measured = Measurements(
        gates={
            name: GateMeasurements(
                open_ratio=joined["open_ratio", name],
                usage=joined["usage", name],
                by_gate=joined["by_gate", name].sum(axis=0) / len(joined["executed"]),
                input_dependent=gate.input_dependent,
            )
            for name, gate in cost.gates.items()
        },
        executed=joined["executed"],
        of_gates=joined["of_gates"],
    )
    if "outputs" in joined:
        probabilities = _probabilities(joined["outputs"])
        measured.predicted = probabilities.argmax(axis=1)
        measured.confidence = probabilities.max(axis=1)
    return measured


def _batch(cost: ModelCost, record: GateRecord, samples: int) -> dict[Any, np.ndarray]:
    """Measure one batch; return a dict of arrays to join along their first axis."""
    masks, probabilities = record.masks(), record.probabilities()
    executed, of_gates = cost.per_sample(masks)
    found: dict = {
        "executed": _for_each(executed, samples),
        "of_gates": _for_each(of_gates, samples),
    }
    for name, gate in cost.gates.items():
        # All positions of a sample have the same weight.
        mask = masks[gate].reshape(len(masks[gate]), -1, gate.gates).mean(axis=1)
        usage = probabilities[gate].reshape(len(mask), -1).mean(axis=1)
        found["open_ratio", name] = _for_each(mask.mean(axis=1), samples)
        found["usage", name] = _for_each(usage, samples)
        found["by_gate", name] = mask.mean(axis=0, keepdims=True) * samples
    outputs: Any = record.outputs
    if not keras.tree.is_nested(outputs) and len(outputs.shape) == 2 and outputs.shape[1] > 1:
        found["outputs"] = ops.convert_to_numpy(ops.cast(outputs, "float32"))
    return found


def _for_each(values: np.ndarray, samples: int) -> np.ndarray:
    """Repeat values that hold for all samples, and so have one row, for each sample."""
    return np.broadcast_to(values, (samples, *values.shape[1:]))


def _probabilities(outputs: np.ndarray) -> np.ndarray:
    """Return outputs as probabilities; outputs that are not probabilities count as logits."""
    if (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        return outputs
    exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
