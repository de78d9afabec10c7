import pathlib

import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg
from keras_dynamicgate.cli import COMMANDS, main

pytestmark = pytest.mark.one_backend("torch")


def test_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["--version"])
    assert exit.value.code == 0
    assert capsys.readouterr().out == f"keras-dynamicgate {kdg.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__.split(".")[-1])
def test_each_command_has_help_and_json(command, capsys):
    name = command.__name__.split(".")[-1]
    with pytest.raises(SystemExit) as exit:
        main([name, "--help"])
    assert exit.value.code == 0
    output = capsys.readouterr().out
    assert "--json" in output
    assert "--data" in output or "--data-dir" in output


def test_file_that_cannot_be_read_is_named(model_file, data_file, tmp_path, capsys):
    missing = str(tmp_path / "missing")
    assert main(["macs", model_file, "--data", missing + ".npy"]) == 2
    assert "missing.npy" in capsys.readouterr().err
    assert main(["macs", missing + ".keras", "--data", data_file]) == 2
    assert "missing.keras" in capsys.readouterr().err
    assert main(["macs", data_file]) == 2
    assert "cannot load the model" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["text", "truncated", "changed"])
def test_damaged_model_is_said_to_be_damaged(model_file, tmp_path, damage, capsys):
    content = pathlib.Path(model_file).read_bytes()
    changed = content.replace(b'"class_name"', b'"class_nam3"', 1)
    assert changed != content
    path = tmp_path / "damaged.keras"
    path.write_bytes({"text": b"model", "truncated": content[:-99], "changed": changed}[damage])
    assert main(["macs", str(path)]) == 2
    assert f"cannot load the model {str(path)!r}: it is damaged" in capsys.readouterr().err


def test_array_of_enormous_shape_is_refused(model_file, tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.zeros((1_000_000_000_000_000_000, 0)))
    content = (tmp_path / "x.npy").read_bytes().replace(b", 0)", b", 9)")
    (tmp_path / "x.npy").write_bytes(content)
    assert main(["macs", model_file, "--data", str(tmp_path / "x.npy")]) == 2
    assert "cannot read inputs" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(3, 5), (3,), (3, 64, 2)])
def test_shape_of_samples_that_do_not_fit_is_named(model_file, tmp_path, shape, capsys):
    np.save(tmp_path / "x.npy", np.zeros(shape))
    assert main(["macs", model_file, "--data", str(tmp_path / "x.npy")]) == 2
    error = capsys.readouterr().err
    assert f"takes samples of shape (64,), and `--data` has samples of shape {shape[1:]}" in error


def test_last_axis_of_size_one_fits_as_in_keras(model_file, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 64, 1)))
    assert main(["macs", model_file, "--data", str(tmp_path / "x.npy")]) == 0


@pytest.mark.parametrize("content", [np.array(1.0), np.array(["a"])])
def test_data_must_be_an_array_of_numbers(model_file, tmp_path, content, capsys):
    np.save(tmp_path / "x.npy", content)
    assert main(["macs", model_file, "--data", str(tmp_path / "x.npy")]) == 2
    assert "one array of numbers" in capsys.readouterr().err


def test_model_of_two_inputs_cannot_take_one_file(tmp_path, data_file, capsys):
    inputs = [keras.Input((64,)), keras.Input((64,))]
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Add()(inputs)))
    path = str(tmp_path / "two.keras")
    model.save(path)
    assert main(["macs", path]) == 0
    assert main(["macs", path, "--data", data_file]) == 2
    assert "takes 2 inputs" in capsys.readouterr().err
