import json
import math
import pathlib

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


def test_second_training_overwrites_no_model_of_the_first(model, tmp_path):
    bias = model.layers[0].bias
    for value, epochs in [(1.0, [(0.9, 0.5)]), (2.0, [(0.8, 0.4)])]:
        bias.assign([value] * 4)
        run_epochs(kdg.ParetoCheckpoint(tmp_path), model, epochs)
    front = json.loads((tmp_path / "front.json").read_text())
    assert [(point["file_name"], point["value"]) for point in front] == [
        ("epoch-0000-2.keras", 0.8),
        ("epoch-0000.keras", 0.9),
    ]
    for point, value in zip(front, (2.0, 1.0), strict=True):
        loaded = keras.saving.load_model(tmp_path / point["file_name"])
        np.testing.assert_array_equal(loaded.layers[0].bias, [value] * 4)
    run_epochs(kdg.ParetoCheckpoint(tmp_path), model, [(0.95, 0.3)])
    assert saved(tmp_path) == ["epoch-0000-3.keras"]


def test_name_of_a_kept_model_that_was_moved_is_not_given_again(model, tmp_path):
    run_epochs(kdg.ParetoCheckpoint(tmp_path), model, [(0.9, 0.5)])
    (tmp_path / "epoch-0000.keras").unlink()
    callback = kdg.ParetoCheckpoint(tmp_path)
    run_epochs(callback, model, [(0.8, 0.4)])
    assert [point.file_name for point in callback.front] == [
        "epoch-0000-2.keras",
        "epoch-0000.keras",
    ]


def test_front_without_file_names_is_read(model, tmp_path):
    point = {"epoch": 3, "value": 0.9, "relative_macs": 0.5}
    (tmp_path / "front.json").write_text(json.dumps([point]))
    callback = kdg.ParetoCheckpoint(tmp_path)
    run_epochs(callback, model, [])
    assert [point.file_name for point in callback.front] == ["epoch-0003.keras"]


def test_epoch_that_is_not_a_number_is_not_kept(model, tmp_path):
    callback = kdg.ParetoCheckpoint(tmp_path)
    run_epochs(callback, model, [(math.nan, 0.1), (0.9, math.nan), (0.8, 0.5)])
    assert [point.epoch for point in callback.front] == [2]
    assert saved(tmp_path) == ["epoch-0002.keras"]


def test_model_is_either_whole_or_not_there(model, tmp_path, monkeypatch):
    def save_half(self, path):
        pathlib.Path(path).write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(keras.Model, "save", save_half)
    with pytest.raises(OSError, match="disk full"):
        run_epochs(kdg.ParetoCheckpoint(path=tmp_path), model, [(0.9, 0.5)])
    assert list(tmp_path.iterdir()) == []


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
