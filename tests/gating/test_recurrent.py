import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg


class GatedCell(keras.layers.Layer):
    """A recurrent cell whose inputs go through gates."""

    state_size = output_size = 4

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.gate = kdg.DynamicGate(name="gated")

    def build(self, input_shape):
        self.gate.build(input_shape)

    def call(self, inputs, states, training=False):
        outputs = self.gate(inputs, training=training) + states[0]
        return outputs, [outputs]


def fit(**arguments):
    recurrent = keras.layers.RNN(GatedCell(), name="memory", **arguments)
    model = keras.Sequential([keras.Input((3, 4)), recurrent])
    model.compile("sgd", "mse")
    model.fit(np.ones((2, 3, 4)), np.ones((2, 4)), verbose=0)
    return recurrent.cell.gate.gate


def test_gates_in_a_loop_that_python_runs_train():
    assert float(keras.ops.mean(fit(unroll=True).usage)) != pytest.approx(0.9, abs=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="others keep what loops assign")
def test_gates_in_a_loop_that_jax_compiles_are_refused_by_name():
    with pytest.raises(ValueError, match=r"cell of a recurrent layer.*`unroll=True`.*'memory'"):
        fit()
