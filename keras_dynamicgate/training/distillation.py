"""Distillation: training towards the answers of a larger network as well as towards the labels."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
class DistillationLoss(keras.losses.Loss):
    """Cross-entropy with the labels and, softened by a temperature, with a teacher's answers.

    `(1 - weight) * cross_entropy(label) + weight * temperature**2 * cross_entropy(teacher)`, where
    the second divides the logits of both by the temperature.

    Args:
        weight: Float from 0 to 1, the share of the teacher. Defaults to 0.5.
        temperature: Float above 0. Defaults to 2.0.

    Call arguments:
        y_true: Tensor of shape `(batch, 1 + classes)`: the label, then the teacher's logits.
        y_pred: Tensor of shape `(batch, classes)`, the logits of the student.

    Examples:
        >>> loss = DistillationLoss()
        >>> y_true = keras.ops.array([[1.0, -2.0, 2.0]])
        >>> round(float(loss(y_true, keras.ops.array([[-2.0, 2.0]]))), 2)
        0.74

    Reference:

    - Hinton et al., 2015 (arXiv 1503.02531)
    """

    def __init__(
        self,
        weight: float = 0.5,
        temperature: float = 2.0,
        name: str = "distillation_loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.weight = weight
        self.temperature = temperature

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels, teacher = ops.cast(y_true[:, 0], "int32"), y_true[:, 1:]
        hard = ops.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
        soft = ops.categorical_crossentropy(
            ops.softmax(teacher / self.temperature), y_pred / self.temperature, from_logits=True
        )
        return (1.0 - self.weight) * hard + self.weight * self.temperature**2 * soft

    def get_config(self) -> dict[str, Any]:
        config = {"weight": self.weight, "temperature": self.temperature}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_dynamicgate")
def label_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Compare the label, in the first column of `y_true`, with the most probable class."""
    predicted = ops.argmax(y_pred, axis=-1)
    return ops.cast(ops.equal(ops.cast(y_true[:, 0], predicted.dtype), predicted), "float32")
