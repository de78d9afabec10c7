"""Versions of a model that do not change any more, and answer while another one learns."""

import dataclasses
import pathlib
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.plasticity import snapshot
from keras_dynamicgate.utils.types import Inputs

Predict = Callable[[Any], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Version:
    """A model as it was at one moment.

    Attributes:
        number: Integer, 0 for the model before it learned.
        samples: Integer, how many samples its learner was given until then.
        snapshot: What training goes on from.
        predict: Function from inputs to answers.
    """

    number: int
    samples: int
    snapshot: snapshot.Snapshot
    predict: Predict


class Server:
    """Makes functions that answer as a model does with given weights.

    Where `InferenceEngine` runs the model, each version is an engine, which has packed its weights
    and skips what is closed. Else all versions share one model, whose own weights never change:
    each call takes those of its version.

    Args:
        model: The model that learns; it is only read.
    """

    def __init__(self, model: keras.Model) -> None:
        self.twin = copied(model) if _engine(model) is None else None

    def make(self, model: keras.Model) -> Predict:
        """Give a function that answers as a model does now, whatever becomes of the model."""
        twin = self.twin
        if twin is None:
            return _engine(model).predict
        trainable, state = (
            [ops.convert_to_tensor(ops.convert_to_numpy(weight)) for weight in weights]
            for weights in (model.trainable_variables, model.non_trainable_variables)
        )

        def predict(x: Inputs) -> np.ndarray:
            inputs = keras.tree.map_structure(ops.convert_to_tensor, x)
            outputs, _ = twin.stateless_call(trainable, state, inputs, training=False)
            return ops.convert_to_numpy(ops.stop_gradient(outputs))

        return predict


def copied(model: keras.Model) -> keras.Model:
    """Copy a compiled model by way of a file, with its optimizer and all its state."""
    if not model.built:
        raise ValueError(
            "Argument `model` must be built: call it on inputs or give it a `keras.Input`. "
            f"Received: model={model!r}"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        copy = keras.models.load_model(path)
    snapshot.put(copy, snapshot.take(model))  # the file leaves out random numbers
    return copy


def _engine(model: keras.Model) -> Any:
    """Make an engine of a model, `None` if there can be none."""
    from keras_dynamicgate.engine.engine import InferenceEngine

    with warnings.catch_warnings():
        # That NumPy runs it where Numba is missing is no matter of each version.
        warnings.simplefilter("ignore")
        try:
            return InferenceEngine(model, threads=1)
        except ValueError:
            return None
