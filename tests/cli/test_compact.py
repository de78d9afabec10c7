import json
import pathlib

import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg
from keras_dynamicgate.cli import main


@pytest.fixture
def static_file(tmp_path):
    gated = kdg.DynamicGateDense(32, "relu", gate="static", block_size=1, top_k=8)
    keras.Sequential([keras.Input((64,)), gated, keras.layers.Dense(4)]).save(
        tmp_path / "static.keras"
    )
    return str(tmp_path / "static.keras")


def test_smaller_model_has_the_same_outputs(static_file, tmp_path, x, capsys):
    small_file = str(tmp_path / "small.keras")
    assert main(["compact", static_file, "--out", small_file, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["out"] == small_file
    assert report["parameters_after"] == 64 * 8 + 8 + 8 * 4 + 4
    outputs = [keras.saving.load_model(file)(x) for file in (static_file, small_file)]
    np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, outputs), rtol=1e-5, atol=1e-6)


def test_model_that_cannot_be_smaller_is_said_to_stay(tmp_path, capsys):
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(4)])
    model.save(tmp_path / "dense.keras")
    files = [str(tmp_path / name) for name in ("dense.keras", "small.keras")]
    assert main(["compact", files[0], "--out", files[1], "--json"]) == 0
    output = capsys.readouterr()
    assert "no units could be removed" in output.err
    assert json.loads(output.out)["layers"] == []


def test_calibration_data_are_counted_in_the_report(model_file, data_file, tmp_path, capsys):
    small = str(tmp_path / "small.keras")
    assert main(["compact", model_file, "--out", small, "--data", data_file]) == 0
    output = capsys.readouterr().out
    assert "8 samples" in output
    assert output.endswith(f"Written to {small}\n")


def test_file_that_exists_is_replaced_by_force_alone(static_file, capsys):
    assert main(["compact", static_file, "--out", static_file]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["compact", static_file, "--out", static_file, "--force"]) == 0
    assert keras.saving.load_model(static_file).count_params() == 64 * 8 + 8 + 8 * 4 + 4


def test_model_that_cannot_be_written_leaves_the_one_before(static_file, monkeypatch, capsys):
    def full_disk(model, path):
        pathlib.Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    file = pathlib.Path(static_file)
    before = file.read_bytes()
    monkeypatch.setattr(keras.Model, "save", full_disk)
    assert main(["compact", static_file, "--out", static_file, "--force"]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("name", "reason"), [("small.h5", "must end with .keras"), ("no/small.keras", "no folder")]
)
def test_file_that_cannot_be_written_is_refused_before_the_work(tmp_path, name, reason, capsys):
    assert main(["compact", "missing.keras", "--out", str(tmp_path / name)]) == 2
    assert reason in capsys.readouterr().err
