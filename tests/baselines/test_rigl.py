import keras
import numpy as np
import pytest
from harness import check_layer
from keras import ops

import keras_dynamicgate as kdg
from keras_dynamicgate.baselines import RigLDense, RigLUpdate
from keras_dynamicgate.macs.model_cost import model_cost

X = np.random.default_rng(1).normal(size=(24, 8)).astype("float32")
Y = np.sum(X[:, :2], axis=1, keepdims=True)


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def train(model, *callbacks, optimizer=None, epochs=4):
    model.compile(optimizer or keras.optimizers.Adam(0.01), "mse")
    model.fit(X, Y, batch_size=8, epochs=epochs, verbose=0, callbacks=list(callbacks))


def test_layer_does_what_a_keras_layer_does():
    arguments = {"units": 5, "activation": "tanh", "sparsity": 0.5, "kernel_regularizer": "l2"}
    check_layer(RigLDense, arguments, (4, 3, 6), (4, 3, 5), 2, 2)


def test_new_layer_keeps_a_share_of_its_weights_that_the_seed_fixes():
    kept = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        layer = RigLDense(50, sparsity=0.9)
        layer.build((None, 20))
        kept.append(numpy(layer.kept))
    assert [each.sum() for each in kept] == [100, 100, 100]
    np.testing.assert_array_equal(kept[0], kept[1])
    assert np.any(kept[0] != kept[2])


def test_weights_that_are_not_kept_have_no_influence():
    layer = RigLDense(2, kernel_regularizer=keras.regularizers.L2(1.0))
    layer.build((None, 2))
    layer.kept.assign([[True, False], [False, True]])
    layer.dense_kernel.assign([[1, 1e6], [-1e6, 2]])
    np.testing.assert_array_equal(numpy(layer.kernel), [[1, 0], [0, 2]])
    np.testing.assert_array_equal(numpy(layer(np.ones((1, 2), "float32"))), [[1, 2]])
    assert numpy(layer.losses[0]) == 5.0


def test_gradient_reaches_the_weights_that_are_not_kept():
    # y = x w = 1 * 1 with x = (1, 2); the loss is y**2, so its gradient is 2 y x = (2, 4).
    layer = RigLDense(1, use_bias=False)
    model = keras.Sequential([keras.Input((2,)), layer])
    layer.kept.assign([[True], [False]])
    layer.dense_kernel.assign([[1.0], [0.0]])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(np.array([[1, 2]], "float32"), np.zeros((1, 1)), verbose=0)
    np.testing.assert_allclose(numpy(layer.dense_kernel), [[0.8], [-0.4]], rtol=1e-6)


def test_smallest_weight_goes_and_the_one_of_the_largest_dense_gradient_comes():
    # Of two steps, the first ends with an exchange of int(.9 / 2 (1 + cos(pi / 2)) * 4) = 1 weight:
    # .1 goes, and the last comes, since the gradient is in proportion to the inputs.
    layer = RigLDense(1, use_bias=False, sparsity=1 / 3)
    model = keras.Sequential([keras.Input((6,)), layer])
    layer.kept.assign(np.array([[1], [1], [1], [1], [0], [0]], "bool"))
    layer.dense_kernel.assign([[1], [-2], [0.1], [3], [0], [0]])
    adam = keras.optimizers.Adam(0.0)
    model.compile(adam, "mse")
    x = np.array([[1, 1, 1, 1, 2, 3]], "float32")
    update = RigLUpdate("uniform", interval=1, drop_fraction=0.9, end=1.0)
    model.fit(x, np.zeros((1, 1)), epochs=2, verbose=0, callbacks=[update])
    np.testing.assert_array_equal(numpy(layer.kept)[:, 0], [1, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(numpy(layer.kernel)[:, 0], [1, -2, 0, 3, 0, 0])
    # Gradients are 2 y x with y = 2.1 and then 2; that of the new weight was forgotten.
    momentum = update.momentum(layer)
    np.testing.assert_allclose(numpy(momentum)[4:, 0], [0.09 * 8.4 + 0.1 * 8, 0.1 * 12], rtol=1e-4)


def test_dropped_weight_comes_back_at_once_where_it_is_needed_most():
    full = RigLDense(4, sparsity=0.0)
    model = keras.Sequential([keras.Input((8,)), full, RigLDense(1)])
    train(model, RigLUpdate("uniform", interval=1))
    assert numpy(full.kept).all()


@pytest.mark.parametrize("optimizer", ["sgd", "scaled"])
def test_training_moves_a_constant_number_of_weights_also_below_gates(optimizer):
    sparse = RigLDense(16, activation="relu", sparsity=0.75)
    gated = kdg.DynamicGateDense(16, dense=sparse, gate="static", block_size=4)
    model = keras.Sequential([keras.Input((8,)), gated, RigLDense(1, sparsity=0.5)])
    before = numpy(sparse.kept)
    if optimizer == "sgd":
        optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    else:
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01))
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(numpy(sparse.kept))
    )
    update = RigLUpdate("uniform", interval=2)
    train(model, update, watch, optimizer=optimizer)
    assert before.sum() == 32
    assert [kept.sum() for kept in seen] == [32] * 4
    assert np.any(seen[0] != before)
    # Three of the four epochs exchange weights.
    np.testing.assert_array_equal(seen[3], seen[2])
    np.testing.assert_array_equal(numpy(sparse.dense_kernel) != 0, seen[3])


def test_resumed_training_goes_on_with_the_weights_it_has():
    model = keras.Sequential([keras.Input((8,)), RigLDense(16), RigLDense(1, sparsity=0.5)])
    still = {"drop_fraction": 1e-6, "interval": 2}
    train(model, RigLUpdate(**still))
    first = [numpy(layer.kept) for layer in model.layers]
    # 12.8 + 8 of 144 weights in proportion to 24 and 17.
    assert [kept.sum() for kept in first] == [12, 9]
    train(model, RigLUpdate(**still))
    for layer, kept in zip(model.layers, first, strict=True):
        np.testing.assert_array_equal(numpy(layer.kept), kept)


def test_frozen_layer_keeps_its_weights():
    frozen = RigLDense(16, sparsity=0.5, trainable=False)
    model = keras.Sequential([keras.Input((8,)), frozen, RigLDense(1, sparsity=0.5)])
    before = numpy(frozen.kept)
    train(model, RigLUpdate("uniform", interval=1), epochs=1)
    np.testing.assert_array_equal(numpy(frozen.kept), before)


@pytest.mark.parametrize(
    "optimizer", [keras.optimizers.SGD, keras.optimizers.RMSprop, keras.optimizers.Adagrad]
)
def test_optimizer_without_a_running_mean_is_refused(optimizer):
    model = keras.Sequential([keras.Input((8,)), RigLDense(1)])
    with pytest.raises(ValueError, match=f"running mean.*`momentum` above 0.*{optimizer.__name__}"):
        train(model, RigLUpdate(interval=1), optimizer=optimizer(0.01))


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"`sparsity` must be a number from 0 and below 1"):
        RigLDense(3, sparsity=1.0)
    with pytest.raises(ValueError, match=r"`kernel_constraint` must be `None`"):
        RigLDense(3, kernel_constraint="max_norm")
    with pytest.raises(ValueError, match=r"`distribution` must be one of 'erk', 'uniform'"):
        RigLUpdate("random")
    with pytest.raises(ValueError, match=r"`drop_fraction` must be a number between 0 and 1"):
        RigLUpdate(drop_fraction=1.5)
    model = keras.Sequential([keras.Input((8,)), RigLDense(1)])
    # 12 steps, of which the ninth is the last that may exchange weights.
    with pytest.raises(ValueError, match=r"never change.* 12 steps.*at most 8 here.*interval=9"):
        train(model, RigLUpdate(interval=9))


def test_saved_model_keeps_its_weights_also_below_gates(tmp_path):
    gated = kdg.DynamicGateDense(64, dense=RigLDense(64, activation="relu"), initial_open=0.5)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(64), gated, RigLDense(1)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for old, new in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    np.testing.assert_array_equal(numpy(loaded(X)), numpy(model(X)))


def gated_chain(gate):
    sparse = RigLDense(64, activation="relu", sparsity=0.5)
    gated = kdg.DynamicGateDense(64, dense=sparse, gate=gate, initial_open=0.5, block_size=8)
    layers = [keras.layers.Dense(64), gated, RigLDense(3, sparsity=0.5)]
    model = keras.Sequential([keras.Input((8,)), *layers])
    # As in the middle of a training.
    sparse.dense_kernel.assign(np.random.default_rng(0).normal(size=(64, 64)))
    return model


@pytest.mark.filterwarnings("ignore:Numba is not installed")
def test_engine_runs_sparse_layers():
    model = gated_chain("low_rank")
    engine = kdg.InferenceEngine(model, threads=1)
    np.testing.assert_allclose(engine.predict(X), numpy(model(X)), rtol=1e-4, atol=1e-4)


def test_compact_makes_ordinary_layers_of_those_whose_gates_are_static():
    model = gated_chain("static")
    model.layers[1].gate.network.scaled_bias.assign([1, 1, 1, -1, -1, -1, -1, -1])
    small = kdg.compact(model)
    assert [layer.units for layer in small.layers[1:]] == [64, 24, 3]
    assert {type(layer) for layer in small.layers[1:]} == {keras.layers.Dense}
    np.testing.assert_allclose(numpy(small(X)), numpy(model(X)), rtol=1e-4, atol=1e-4)


def test_compact_keeps_sparse_layers_with_input_dependent_gates_as_they_are():
    model = gated_chain("low_rank")
    small = kdg.compact(model)
    assert isinstance(small.layers[2].dense, RigLDense)
    np.testing.assert_allclose(numpy(small(X)), numpy(model(X)), rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:The training ended at")
def test_budget_counts_the_weights_as_they_are_spread_when_the_training_begins():
    sparse, output = RigLDense(16, sparsity=0.5), RigLDense(1, sparsity=0.5)
    gated = kdg.DynamicGateDense(16, dense=sparse, gate="static", block_size=4)
    model = keras.Sequential([keras.Input((8,)), gated, output])
    budget = kdg.MacBudget(0.5)
    train(model, budget, RigLUpdate(interval=2), epochs=1)
    # Half of 128 + 16 weights; the output layer has room for 16 only.
    kept = [ops.convert_to_numpy(product.kept) for product in model_cost(model).all_products()]
    assert [weights.sum() for weights in kept] == [56, 16]
