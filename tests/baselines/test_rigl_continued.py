import h5py
import keras
import numpy as np
import pytest
from keras import ops

from keras_dynamicgate.baselines import RigLDense, RigLUpdate

X = np.random.default_rng(1).normal(size=(24, 8)).astype("float32")
Y = np.sum(X[:, :2], axis=1, keepdims=True)


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def train(model, distribution, epochs=2):
    """Train without an exchange of weights; what is kept can change at the start alone."""
    model.compile(keras.optimizers.Adam(0.01), "mse")
    update = RigLUpdate(distribution, interval=2, drop_fraction=1e-6)
    model.fit(X, Y, batch_size=8, epochs=epochs, verbose=0, callbacks=[update])


def masks(model):
    return [numpy(layer.kept) for layer in model.layers]


@pytest.fixture
def model():
    """Two layers that keep 32 and 8 weights each by themselves, and 24 and 16 together."""
    return keras.Sequential(
        [keras.Input((8,)), RigLDense(16, sparsity=0.75), RigLDense(1, sparsity=0.5)]
    )


def test_first_training_spreads_the_weights_over_the_layers(model):
    assert [mask.sum() for mask in masks(model)] == [32, 8]
    train(model, "erk")
    # 40 weights in proportion to 24 and 17 would be 23.4 and 16.6; the second has room for 16.
    assert [mask.sum() for mask in masks(model)] == [24, 16]


def test_training_that_goes_on_with_another_distribution_keeps_what_was_trained(model, tmp_path):
    train(model, "uniform")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    train(loaded, "erk")
    for before, after in zip(masks(model), masks(loaded), strict=True):
        np.testing.assert_array_equal(after, before)
    assert [np.count_nonzero(numpy(layer.kernel)) for layer in loaded.layers] == [32, 8]


def test_training_that_was_cut_is_gone_on_with(model, tmp_path):
    model.compile(keras.optimizers.Adam(0.01), "mse")
    cut = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.fit(X, Y, epochs=9, verbose=0, callbacks=[RigLUpdate("uniform", interval=2), cut])
    before = masks(model)
    model.save_weights(tmp_path / "model.weights.h5")
    other = keras.models.clone_model(model)
    other.load_weights(tmp_path / "model.weights.h5")
    train(other, "erk")
    for old, new in zip(before, masks(other), strict=True):
        np.testing.assert_array_equal(new, old)


def test_frozen_layers_keep_their_weights_and_do_not_count_in_what_is_spread():
    frozen = RigLDense(16, sparsity=0.5, trainable=False)
    model = keras.Sequential(
        [keras.Input((8,)), frozen, RigLDense(4, sparsity=0.75), RigLDense(1, sparsity=0.5)]
    )
    kept, kernel = masks(model)[0], numpy(frozen.dense_kernel)
    train(model, "erk")
    np.testing.assert_array_equal(numpy(frozen.kept), kept)
    # Also where it is not kept: another training may keep other weights.
    np.testing.assert_array_equal(numpy(frozen.dense_kernel), kernel)
    # 16 + 2 weights in proportion to 20 and 5 are 14.4 and 3.6.
    assert [mask.sum() for mask in masks(model)] == [64, 14, 4]


def test_layer_that_was_frozen_takes_part_once_it_is_trained(model):
    model.layers[0].trainable = False
    train(model, "erk")
    model.layers[0].trainable = True
    train(model, "erk")
    # Each was alone, so it keeps what its own sparsity says.
    assert [np.count_nonzero(numpy(layer.kernel)) for layer in model.layers] == [32, 8]


def test_file_of_an_earlier_version_loads_and_keeps_its_weights(model, tmp_path):
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    before = masks(model)
    with h5py.File(path, "r+") as file:
        for name in list(file["layers"]):
            weights = file[f"layers/{name}/vars"]
            # Kernel, bias, kept weights, and `rewired`, which was not there.
            assert sorted(weights) == ["0", "1", "2", "3"]
            del weights["3"]
    other = keras.models.clone_model(model)
    other.load_weights(path)
    np.testing.assert_array_equal(numpy(other(X)), numpy(model(X)))
    train(other, "erk")
    for old, new in zip(before, masks(other), strict=True):
        np.testing.assert_array_equal(new, old)
