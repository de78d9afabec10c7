import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg
from keras_dynamicgate.cli import COMMANDS, main


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


def test_data_that_does_not_fit_is_wrong_input(model_file, tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.zeros((3, 5)))
    assert main(["macs", model_file, "--data", str(tmp_path / "x.npy")]) == 2
    assert capsys.readouterr().err.startswith("keras-dynamicgate: ")


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
