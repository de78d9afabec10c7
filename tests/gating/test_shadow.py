import keras
import numpy as np

from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.networks import LinearGate


def linear_gate(logits, **options):
    """A gate whose logits are those given for every input, and that trains without noise."""
    gate = Gate(LinearGate(), len(logits), **{"estimator": "threshold", **options})
    gate.build((None, 2))
    gate.network.kernel.assign(np.zeros((2, len(logits))))
    gate.network.scaled_bias.assign(np.array(logits) / 10.0)
    return gate


def rows(mask):
    return np.unique(keras.ops.convert_to_numpy(mask), axis=0).tolist()


X = np.ones((64, 2), "float32")


def test_training_opens_the_gates_of_the_shadow_besides():
    gate = linear_gate([1.0, -1.0, -1.0])
    gate.shadow.forced_open.assign([0.0, 1.0, 0.0])
    assert rows(gate(X, training=True)) == [[1.0, 1.0, 0.0]]


def test_inference_does_not():
    gate = linear_gate([1.0, -1.0, -1.0])
    gate.shadow.forced_open.assign([0.0, 1.0, 0.0])
    assert rows(gate(X, training=False)) == [[1.0, 0.0, 0.0]]


def test_a_frozen_gate_opens_them_too():
    gate = linear_gate([1.0, -1.0])
    gate.trainable = False
    gate.shadow.forced_open.assign([0.0, 1.0])
    assert rows(gate(X, training=True)) == [[1.0, 1.0]]


def test_settled_gates_train_without_noise():
    gate = linear_gate([0.5, -0.5], estimator="logistic")
    assert len(rows(gate(X, training=True))) > 1
    gate.shadow.settled.assign(1.0)
    assert rows(gate(X, training=True)) == [[1.0, 0.0]]


def test_files_hold_it_only_where_it_says_something(tmp_path):
    model = keras.Sequential([keras.Input((2,)), linear_gate([1.0, -1.0])])
    other = keras.Sequential([keras.Input((2,)), linear_gate([1.0, -1.0])])
    model.save_weights(tmp_path / "without.weights.h5")
    model.layers[0].shadow.forced_open.assign([0.0, 1.0])
    model.save_weights(tmp_path / "with.weights.h5")
    forced_open = other.layers[0].shadow.forced_open
    other.load_weights(tmp_path / "with.weights.h5")
    assert keras.ops.convert_to_numpy(forced_open).tolist() == [0.0, 1.0]
    other.load_weights(tmp_path / "without.weights.h5")
    assert keras.ops.convert_to_numpy(forced_open).tolist() == [0.0, 0.0]
    store = {}
    linear_gate([1.0]).shadow.save_own_variables(store)
    assert store == {}
