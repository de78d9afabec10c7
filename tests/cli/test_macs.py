import json

import pytest

from keras_dynamicgate.cli import main


def test_table_counts_gates_on_the_data(model_file, data_file, capsys):
    assert main(["macs", model_file, "--data", data_file]) == 0
    output = capsys.readouterr().out
    assert "4,352" in output
    assert "8 samples" in output


def test_json_has_the_numbers(model_file, data_file, capsys):
    assert main(["macs", model_file, "--data", data_file, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["relative"] == pytest.approx((2176 + 136) / 4352)


def test_without_data_the_last_training_batch_stands_in(model_file, capsys):
    assert main(["macs", model_file]) == 0
    assert "last training batch" in capsys.readouterr().out
