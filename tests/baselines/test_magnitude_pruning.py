import inspect

import keras
import numpy as np
import pytest
from harness import check_layer
from keras import ops

import keras_dynamicgate as kdg
from keras_dynamicgate.baselines import MagnitudePrunedDense, MagnitudePruning
from keras_dynamicgate.baselines.rewiring import largest

X = np.random.default_rng(1).normal(size=(24, 6)).astype("float32")
Y = np.ones((24, 2), "float32")


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def with_kernels(*kernels):
    """Chain layers without biases that have these kernels."""
    layers = [MagnitudePrunedDense(len(kernel[0]), use_bias=False) for kernel in kernels]
    model = keras.Sequential([keras.Input((len(kernels[0]),)), *layers])
    for layer, kernel in zip(layers, kernels, strict=True):
        layer.dense_kernel.assign(kernel)
    return model


def prune(model, pruning, optimizer=None, **arguments):
    """Train for 12 steps; without an optimizer the weights do not move by themselves."""
    model.compile(optimizer or keras.optimizers.SGD(0.0), "mse", **arguments)
    features, units = model.input_shape[1], model.output_shape[1]
    model.fit(X[:, :features], Y[:, :units], batch_size=8, epochs=4, verbose=0, callbacks=[pruning])


def test_layer_does_what_a_keras_layer_does():
    arguments = {"units": 5, "activation": "tanh", "kernel_regularizer": "l2"}
    check_layer(MagnitudePrunedDense, arguments, (4, 3, 6), (4, 3, 5), 2, 1)


def test_every_plain_argument_of_dense_is_accepted_under_the_same_name_and_place():
    dense = list(inspect.signature(keras.layers.Dense.__init__).parameters)[:-1]
    ours = list(inspect.signature(MagnitudePrunedDense.__init__).parameters)[:-1]
    assert ours == [name for name in dense if name not in LATER]


LATER = ("lora_rank", "lora_alpha", "quantization_config")


def test_before_pruning_it_trains_as_dense_bit_for_bit():
    arguments = {
        "activation": "gelu",
        "kernel_regularizer": "l1",
        "activity_regularizer": "l2",
        "kernel_constraint": "max_norm",
    }
    trained = []
    for layer_class in (keras.layers.Dense, MagnitudePrunedDense):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((6,)), layer_class(2, **arguments)])
        model.compile(keras.optimizers.Adam(0.1), "mse")
        losses = model.fit(X, Y, epochs=3, verbose=0, shuffle=False).history["loss"]
        trained.append([losses, numpy(model.layers[0].kernel), model.predict(X, verbose=0)])
    for dense, ours in zip(*trained, strict=True):
        np.testing.assert_array_equal(ours, dense)


def test_sparsity_rises_from_zero_to_its_end_along_a_cubic():
    pruning = MagnitudePruning(0.8, begin=0.2, end=0.6, interval=15)
    assert pruning.changes(100) == [35, 50, 60]
    # Half way: .8 (1 - .5**3).
    found = [pruning.sparsity_at(step) for step in (10, 20, 40, 60, 90)]
    assert found == pytest.approx([0.0, 0.0, 0.7, 0.8, 0.8])


@pytest.mark.parametrize(
    ("scope", "first", "second"),
    [
        ("layer", [[4, -3], [0, 0]], [[0.4], [0]]),
        ("global", [[4, -3], [2, 0]], [[0], [0]]),
    ],
)
def test_smallest_magnitudes_go_in_each_layer_or_over_all_layers(scope, first, second):
    model = with_kernels([[4, -3], [2, -1]], [[0.4], [0.3]])
    prune(model, MagnitudePruning(0.5, interval=2, scope=scope))
    np.testing.assert_array_equal(numpy(model.layers[0].kernel), first)
    np.testing.assert_allclose(numpy(model.layers[1].kernel), second, rtol=1e-6)


def test_ties_go_by_index():
    np.testing.assert_array_equal(
        largest(np.array([[1, 2], [2, 2]]), 2), [[False, True], [True, False]]
    )
    assert not largest(np.ones(3), 0).any()


def test_pruned_weights_stay_zero_in_this_and_in_later_trainings():
    layers = [MagnitudePrunedDense(10, activation="relu"), MagnitudePrunedDense(2)]
    model = keras.Sequential([keras.Input((6,)), *layers])
    momentum = keras.optimizers.SGD(0.1, momentum=0.9)
    # Callbacks then see every second step only.
    together = 1 if keras.backend.backend() == "torch" else 2
    prune(model, MagnitudePruning(0.75, interval=2), momentum, steps_per_execution=together)
    kept = [numpy(layer.kept) for layer in layers]
    assert [int(each.sum()) for each in kept] == [15, 5]
    before = numpy(layers[0].kernel).copy()
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    for layer, each in zip(layers, kept, strict=True):
        np.testing.assert_array_equal(numpy(layer.kept), each)
        np.testing.assert_array_equal(numpy(layer.dense_kernel) != 0, each)
    assert np.any(numpy(layers[0].kernel) != before)


def test_second_pruning_does_not_bring_weights_back():
    model = with_kernels([[4, -3], [2, -1]])
    prune(model, MagnitudePruning(0.75, interval=2))
    prune(model, MagnitudePruning(0.25, interval=2))
    np.testing.assert_array_equal(numpy(model.layers[0].kernel), [[4, 0], [0, 0]])


def test_saved_model_keeps_what_is_pruned(tmp_path):
    model = with_kernels([[4, -3], [2, -1]])
    prune(model, MagnitudePruning(0.5, interval=2))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded.layers[0].kept), [[1, 1], [0, 0]])
    np.testing.assert_array_equal(numpy(loaded(X[:, :2])), numpy(model(X[:, :2])))


def test_compact_makes_ordinary_layers_without_the_rows_of_closed_inputs():
    model = keras.Sequential(
        [keras.Input((4,)), kdg.DynamicGate(), MagnitudePrunedDense(2, activation="relu")]
    )
    model.layers[0].gate.network.scaled_bias.assign([1, 1, 1, -1])
    model.layers[1].keep(np.array([[1, 0], [0, 1], [1, 1], [1, 0]], "bool"))
    small = kdg.compact(model)
    dense = small.layers[-1]
    assert type(dense) is keras.layers.Dense
    np.testing.assert_array_equal(numpy(dense.kernel) != 0, [[1, 0], [0, 1], [1, 1]])
    np.testing.assert_allclose(numpy(small(X[:, :4])), numpy(model(X[:, :4])), rtol=1e-5)


def test_callback_says_what_is_wrong():
    with pytest.raises(ValueError, match=r"`final_sparsity` must be a number between 0 and 1"):
        MagnitudePruning(1.0)
    with pytest.raises(ValueError, match=r"`end` must be a number above begin=0.5 and at most 1"):
        MagnitudePruning(0.5, begin=0.5, end=0.4)
    with pytest.raises(ValueError, match=r"`scope` must be one of 'layer', 'global'"):
        MagnitudePruning(0.5, scope="model")
    # 12 steps, from the first to the ninth.
    with pytest.raises(ValueError, match=r"never change.* 12 steps.*at most 8 here.*interval=100"):
        prune(with_kernels([[1.0]]), MagnitudePruning(0.5))
    dense = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2, name="plain")])
    with pytest.raises(ValueError, match=r"`MagnitudePrunedDense` layers. Received.*'plain'"):
        prune(dense, MagnitudePruning(0.5, interval=2))


def test_data_of_unknown_length_is_refused():
    model = with_kernels([[1.0]])
    model.compile("sgd", "mse")
    batches = ((X[:8, :1], Y[:8, :1]) for _ in range(2))
    with pytest.raises(ValueError, match=r"how long the training is.*`steps_per_epoch`"):
        model.fit(batches, shuffle=False, callbacks=[MagnitudePruning(0.5, interval=1)])


def test_training_that_ends_before_pruning_is_done_warns():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    model = with_kernels([[4.0, -3.0], [2.0, -1.0]])
    model.compile("sgd", "mse")
    callbacks = [MagnitudePruning(0.5, begin=0, interval=2), Stop()]
    with pytest.warns(UserWarning, match=r"after 3 steps, before pruning was done at step 9"):
        model.fit(X[:, :2], Y, batch_size=8, epochs=4, verbose=0, callbacks=callbacks)
