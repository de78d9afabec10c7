import json

import pytest

from keras_dynamicgate.cli import main

pytestmark = pytest.mark.one_backend("torch")

pytest.importorskip("numba")

FAST = ["--batch-sizes", "1,2", "--seconds", "0", "--threads", "1"]


def test_table_has_every_way_to_run(model_file, data_file, capsys):
    assert main(["benchmark", model_file, "--data", data_file, *FAST]) == 0
    output = capsys.readouterr().out
    assert "engine" in output
    assert "ratio to dense" in output


def test_json_has_every_batch_size(model_file, data_file, capsys):
    assert main(["benchmark", model_file, "--data", data_file, *FAST, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {timing["batch_size"] for timing in report["timings"]} == {1, 2}


@pytest.mark.parametrize(
    "options",
    [
        ["--batch-sizes", "1,x"],
        ["--batch-sizes", "0"],
        ["--threads", "-1"],
    ],
)
def test_wrong_options_are_refused(options, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["benchmark", "model.keras", "--data", "x.npy", *options])
    assert exit.value.code == 2
    assert "must be a positive integer" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["-1", "a", "nan", "inf"])
def test_seconds_that_cannot_pass_are_refused(seconds, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["benchmark", "model.keras", "--data", "x.npy", "--seconds", seconds])
    assert exit.value.code == 2
    assert f"must be a number of at least 0, not '{seconds}'" in capsys.readouterr().err
