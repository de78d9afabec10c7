import keras
import numpy as np
import pytest
from keras import ops

import keras_dynamicgate as kdg

X = np.array([[1.0, -3.0, 0.5, 2.0]], "float32")


def identity(gate, **arguments):
    layer = kdg.DynamicGateDense(4, kernel_initializer="identity", gate=gate, **arguments)
    layer.build((None, 4))
    return layer


def run(layer, x=X):
    return ops.convert_to_numpy(layer(x)).tolist()


def test_units_closer_to_zero_than_the_cut_are_closed():
    layer = identity("activation", block_size=1)
    assert run(layer) == X.tolist()
    layer.gate.network.cut.assign(1.5)
    assert run(layer) == [[0, -3, 0, 2]]


def test_the_size_is_that_after_the_activation():
    layer = identity(kdg.ActivationGate(activation="relu"), block_size=1)
    layer.gate.network.cut.assign(0.75)
    assert run(layer) == [[1, 0, 0, 2]]


def test_the_mean_size_decides_for_a_block():
    layer = identity("activation", block_size=2)
    layer.gate.network.cut.assign(1.5)
    assert run(layer) == [[1, -3, 0, 0]]


def test_the_cut_leaves_the_share_open_that_was_asked_for():
    gate = kdg.ActivationGate(open_ratio=0.25)
    gate.configure(gates=4, units=4, initial_logit=0.0)
    gate.build((None, 4))
    gate.open_share_of(np.array([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]))
    assert float(ops.convert_to_numpy(gate.cut)) == 6.25


def test_its_own_product_counts_whole_and_the_next_one_does_not():
    gate = kdg.ActivationGate()
    model = keras.Sequential(
        [
            keras.Input((4,)),
            kdg.DynamicGateDense(4, kernel_initializer="identity", gate=gate, block_size=1),
            keras.layers.Dense(10),
        ]
    )
    model.layers[0].gate.network.cut.assign(1.5)
    report = kdg.count_macs(model, X)
    # 4 x 4 for all units, then two of them x 10.
    assert (report.dense, report.executed, report.gates) == (56, 16 + 20, 0)


def test_the_linear_units_of_a_gated_mlp_are_saved():
    layer = kdg.DynamicGateMLP(
        4, 5, "relu", gated_linear=True, gate="activation", block_size=1, execution="skip"
    )
    model = keras.Sequential([keras.Input((4,)), layer])
    layer.hidden_dense.kernel.assign(np.eye(4))
    layer.gate.network.cut.assign(0.75)
    # 4 x 4 for the activated units; of the linear ones and of the rows after, two.
    assert kdg.count_macs(model, X).executed == 16 + 8 + 10
    whole = kdg.DynamicGateMLP(4, 5, "relu", gated_linear=True, gate=None)
    whole.build((None, 4))
    whole.set_weights([ops.convert_to_numpy(dense) for dense in _dense_weights(layer)])
    whole.hidden_dense.kernel.assign(np.diag([1.0, 1.0, 0.0, 1.0]))
    np.testing.assert_allclose(run(layer), run(whole), atol=1e-6)


def _dense_weights(layer):
    return [weight for dense in layer.dense_layers for weight in dense.weights]


def test_it_is_saved_with_its_cut(tmp_path):
    layer = identity(kdg.ActivationGate(0.25, "relu"), block_size=1)
    model = keras.Sequential([keras.Input((4,)), layer])
    layer.gate.network.cut.assign(0.75)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert run(loaded) == [[1, 0, 0, 2]]


def test_a_wrong_share_and_a_layer_that_cannot_show_its_units_are_refused():
    with pytest.raises(ValueError, match=r"`open_ratio` must be .*between 0 and 1"):
        kdg.ActivationGate(open_ratio=1.5)
    convolution = kdg.DynamicGateConv2D(2, 1, gate="activation", block_size=1)
    with pytest.raises(ValueError, match="gate network that reads the input"):
        convolution.build((None, 3, 3, 1))
