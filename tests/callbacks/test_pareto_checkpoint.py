import json

import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((4,)), kdg.DynamicGateDense(4, gate="static", top_k=2)])
    model.compile("sgd", "mse")
    return model


def run_epochs(callback, model, epochs, start=0):
    """Tell the callback of epochs with the given accuracies and relative MACs."""
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, (accuracy, macs) in enumerate(epochs, start=start):
        callback.on_epoch_end(epoch, {"val_accuracy": accuracy, "relative_macs": macs})


def saved(folder):
    return sorted(path.name for path in folder.glob("*.keras"))


def test_epochs_that_no_other_beats_in_both_are_kept(model, tmp_path):
    callback = kdg.ParetoCheckpoint(tmp_path)
    # The third is worse and costlier than the second, the fourth is cheaper, the fifth beats the
    # second in both.
    run_epochs(callback, model, [(0.9, 1.0), (0.8, 0.5), (0.7, 0.6), (0.6, 0.3), (0.85, 0.4)])
    assert [(point.epoch, point.value) for point in callback.front] == [
        (3, 0.6),
        (4, 0.85),
        (0, 0.9),
    ]
    assert saved(tmp_path) == ["epoch-0000.keras", "epoch-0003.keras", "epoch-0004.keras"]


def test_of_two_equal_epochs_the_first_is_kept(model, tmp_path):
    run_epochs(kdg.ParetoCheckpoint(tmp_path), model, [(0.9, 0.5), (0.9, 0.5)])
    assert saved(tmp_path) == ["epoch-0000.keras"]


def test_smaller_is_better_with_mode_min(model, tmp_path):
    callback = kdg.ParetoCheckpoint(tmp_path, mode="min")
    run_epochs(callback, model, [(0.5, 0.5), (0.4, 0.5), (0.6, 0.5)])
    assert saved(tmp_path) == ["epoch-0001.keras"]


def test_training_that_is_resumed_goes_on_with_the_front(model, tmp_path):
    run_epochs(kdg.ParetoCheckpoint(tmp_path), model, [(0.9, 0.5)])
    resumed = kdg.ParetoCheckpoint(tmp_path)
    run_epochs(resumed, model, [(0.8, 0.6), (0.95, 0.4)], start=1)
    assert [point.epoch for point in resumed.front] == [2]
    assert saved(tmp_path) == ["epoch-0002.keras"]
    assert [point["epoch"] for point in json.loads((tmp_path / "front.json").read_text())] == [2]


def test_saved_model_is_that_of_its_epoch_and_counted_without_a_summary(model, tmp_path):
    x, y = np.ones((8, 4), "float32"), np.ones((8, 4), "float32")
    callback = kdg.ParetoCheckpoint(tmp_path, monitor="loss", mode="min")
    model.fit(x, y, verbose=0, callbacks=[callback])
    assert [point.relative_macs for point in callback.front] == [0.5]
    loaded = keras.saving.load_model(tmp_path / callback.front[0].file_name)
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_value_that_is_not_in_the_logs_is_an_error(model, tmp_path):
    callback = kdg.ParetoCheckpoint(tmp_path)
    callback.set_model(model)
    with pytest.raises(ValueError, match=r"no 'val_accuracy'; they have loss"):
        callback.on_epoch_end(0, {"loss": 1.0})
    with pytest.raises(ValueError, match="`mode` must be"):
        kdg.ParetoCheckpoint(tmp_path, mode="auto")
