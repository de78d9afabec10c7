import keras
import numpy as np
import pytest
from keras import ops

from keras_dynamicgate.graph.element_wise import is_feature_wise


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (None, True),
        (keras.activations.relu, True),
        (keras.activations.softmax, False),
        (lambda x: keras.activations.gelu(x, approximate=True), True),
        (lambda x: ops.cast(ops.square(ops.relu(x)) * 0.5, "float32"), True),
        (lambda x: x, True),
        (lambda x: ops.softmax(x), False),
        (lambda x: x - ops.mean(x, axis=-1, keepdims=True), False),
        (lambda x: x * np.array([1.0, 2.0]), False),
        (lambda x: ops.flip(x, axis=-1), False),
        (lambda x: np.tanh(np.asarray(x)), False),
        (keras.layers.LeakyReLU(), True),
        (keras.layers.ReLU(max_value=6.0), True),
        (keras.layers.ELU(), True),
        (keras.layers.Activation("tanh"), True),
        (keras.layers.Activation("softmax"), False),
        (keras.layers.PReLU(), False),
    ],
)
def test_functions_are_feature_wise_if_all_their_operations_are(activation, expected):
    assert is_feature_wise(activation) == expected
