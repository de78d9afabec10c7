"""Prequential evaluation: predict first, then learn."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.utils import checks


class FadingAccuracy:
    """Follows the accuracy of answers that were given before their labels were learned.

    With each answer `S <- hit + alpha S` and `N <- 1 + alpha N`; the accuracy is `S / N`. So old
    answers fade: with `alpha=0.99` about the last hundred count.

    Args:
        alpha: Number above 0 and at most 1, the fading factor; 1 counts all answers alike. Defaults
            to 0.99.

    Examples:
        >>> accuracy = keras_dynamicgate.plasticity.FadingAccuracy(alpha=0.5)
        >>> accuracy.update([1, 0, 1], [1, 1, 1])
        array([1.        , 0.33333333, 0.71428571])

    Reference:

    - Gama, Sebastião and Rodrigues, 2013: On evaluating stream learning algorithms
    """

    def __init__(self, alpha: float = 0.99) -> None:
        checks.number("alpha", alpha, "above 0 and at most 1", lambda value: 0 < value <= 1)
        self.alpha = alpha
        self.hits = 0.0
        self.count = 0.0

    @property
    def accuracy(self) -> float:
        """The faded accuracy so far; NaN before the first answer."""
        return self.hits / self.count if self.count else float("nan")

    def update(self, answers: Any, labels: Any) -> np.ndarray:
        """Add answers in the order of the stream.

        Args:
            answers: Array of classes, or of scores of shape `(samples, classes)`.
            labels: Array of classes, of shape `(samples,)`.

        Returns:
            The accuracy after each answer, as an array of shape `(samples,)`.
        """
        curve = []
        for hit in hits(answers, labels):
            self.hits = float(hit) + self.alpha * self.hits
            self.count = 1.0 + self.alpha * self.count
            curve.append(self.accuracy)
        return np.array(curve)


def hits(answers: Any, labels: Any) -> np.ndarray:
    """Tell which answers are right, as a boolean array of shape `(samples,)`."""
    answers, labels = np.asarray(answers), np.asarray(labels).reshape(-1)
    if answers.ndim > 1:
        answers = answers.argmax(axis=-1)
    if answers.shape != labels.shape:
        raise ValueError(
            "Argument `labels` must hold a class for each answer. Received: answers of shape "
            f"{answers.shape}, labels of shape {labels.shape}"
        )
    return np.asarray(answers == labels)


class Prequential(keras.callbacks.Callback):
    """Evaluates a stream as `fit` learns it: each batch is answered before it is learned.

    After each batch `logs["prequential_accuracy"]` is the faded accuracy so far, and so is the last
    one of an epoch. `fit` must not shuffle, since the callback has to know the batch that comes.

    Args:
        x: The inputs that `fit` is given.
        y: Its labels, classes of shape `(samples,)`.
        batch_size: Integer, that of `fit`. Defaults to 32.
        alpha: As in `FadingAccuracy`. Defaults to 0.99.

    Attributes:
        curve: List of the accuracy after each answer.

    Examples:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, "softmax")])
        >>> model.compile("sgd", "sparse_categorical_crossentropy")
        >>> x, y = np.ones((8, 2)), np.zeros(8, int)
        >>> prequential = keras_dynamicgate.plasticity.Prequential(x, y, batch_size=4)
        >>> history = model.fit(x, y, batch_size=4, shuffle=False, verbose=0,
        ...                     callbacks=[prequential])
        >>> len(prequential.curve)
        8
    """

    def __init__(self, x: Any, y: Sequence[int], batch_size: int = 32, alpha: float = 0.99) -> None:
        super().__init__()
        checks.positive_integer("batch_size", batch_size)
        self.x, self.y = np.asarray(x), np.asarray(y)
        self.batch_size = batch_size
        self.fading = FadingAccuracy(alpha)
        self.curve: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if hasattr(self.model, "jax_state_sync"):  # else JAX answers as at the start of the epoch
            self.model.jax_state_sync()
        rows = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
        answers = self.model.predict_on_batch(self.x[rows])
        self.curve += self.fading.update(answers, self.y[rows]).tolist()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._log(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._log(logs)

    def _log(self, logs: dict[str, Any] | None) -> None:
        if logs is not None:
            logs["prequential_accuracy"] = self.fading.accuracy
