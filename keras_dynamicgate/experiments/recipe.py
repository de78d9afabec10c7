"""One training recipe for all models of a comparison."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.datasets import Batches, Dataset
from keras_dynamicgate.experiments.taught_split import TaughtSplit
from keras_dynamicgate.training.distillation import DistillationLoss, label_accuracy
from keras_dynamicgate.training.one_cycle import OneCycle


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is trained: AdamW with a one-cycle learning rate.

    Weight decay acts on all kernels, also of gate networks, but not on biases or static gates.

    Attributes:
        epochs: Number of passes over the training split.
        batch_size: Samples in a step.
        peak_learning_rate: The largest learning rate.
        weight_decay: Decay of the kernels per step, relative to the learning rate.

    Examples:
        >>> recipe = keras_dynamicgate.experiments.Recipe(epochs=2)
        >>> data = keras_dynamicgate.datasets.digits()
        >>> model = keras.Sequential([
        ...     keras.Input((8, 8)), keras.layers.Flatten(), keras.layers.Dense(10)
        ... ])
        >>> history = recipe.train(model, data, verbose=0)
        >>> len(history.history["val_accuracy"])
        2
    """

    epochs: int
    batch_size: int = 128
    peak_learning_rate: float = 5e-3
    weight_decay: float = 0.1

    def train(
        self,
        model: keras.Model,
        dataset: Dataset,
        callbacks: Iterable[keras.callbacks.Callback] = (),
        *,
        seed: int = 0,
        teacher: tuple[np.ndarray, np.ndarray] | None = None,
        verbose: str | int = "auto",
    ) -> keras.callbacks.History:
        """Train a classifier on a data set.

        Args:
            model: A built Keras model that returns logits of shape `(batch, classes)`.
            dataset: A `keras_dynamicgate.datasets.Dataset`.
            callbacks: Callbacks for `fit`.
            seed: Integer that fixes the order of the samples. Defaults to 0.
            teacher: Logits of a teacher for the training and the validation split, both of shape
                `(samples, classes)`. Defaults to `None`: train towards the labels only.
            verbose: As in `fit`.

        Returns:
            The `History` of `fit`.
        """
        # A `Split`, or a `TaughtSplit` that is read in the same way.
        train: Any = dataset.train
        validation: Any = dataset.validation
        if teacher is None:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        else:
            loss = DistillationLoss()
            accuracy = keras.metrics.MeanMetricWrapper(label_accuracy, name="accuracy")
            train = TaughtSplit(train, teacher[0])
            validation = TaughtSplit(validation, teacher[1])
        model.compile(self._optimizer(len(train)), loss, metrics=[accuracy])
        held_out = Batches(validation, batch_size=512, shuffle=False, seed=seed)
        return model.fit(
            Batches(train, batch_size=self.batch_size, shuffle=True, seed=seed),
            epochs=self.epochs,
            shuffle=False,
            validation_data=held_out if len(validation) else None,
            callbacks=list(callbacks),
            verbose=verbose,
        )

    def steps(self, samples: int) -> int:
        """Count the steps of a training on `samples` samples."""
        return self.epochs * math.ceil(samples / self.batch_size)

    def _optimizer(self, samples: int) -> keras.optimizers.Optimizer:
        schedule = OneCycle(self.peak_learning_rate, self.steps(samples))
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=self.weight_decay)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        return optimizer
