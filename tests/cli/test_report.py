import json

import numpy as np
import pytest

from keras_dynamicgate.cli import main

pytestmark = pytest.mark.one_backend("torch")

RUNS = {"runs": [{"model": "gated", "target": 0.3, "accuracy": 0.9, "relative_macs": 0.3}]}


@pytest.fixture
def label_file(tmp_path):
    np.save(tmp_path / "y.npy", np.arange(8) % 2)
    return str(tmp_path / "y.npy")


def test_page_has_everything_that_was_given(model_file, data_file, label_file, tmp_path, capsys):
    page, results = tmp_path / "report.html", tmp_path / "results.json"
    results.write_text(json.dumps(RUNS))
    options = ["--labels", label_file, "--class-names", "cat, dog", "--results", str(results)]
    arguments = ["report", model_file, "--data", data_file, *options, "--html", str(page)]
    assert main([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["html"] == str(page)
    assert printed["relative"] == pytest.approx((2176 + 136) / 4352)
    text = page.read_text()
    assert ">dog<" in text
    assert "Accuracy against MACs" in text
    assert main(arguments) == 2
    assert "--force" in capsys.readouterr().err


def test_class_names_can_be_lines_of_a_file(model_file, data_file, label_file, tmp_path):
    names, page = tmp_path / "names.txt", tmp_path / "report.html"
    names.write_text("cat, tabby\ndog\n")
    options = ["--labels", label_file, "--class-names", str(names), "--html", str(page)]
    assert main(["report", model_file, "--data", data_file, *options]) == 0
    assert ">cat, tabby<" in page.read_text()


@pytest.mark.parametrize(
    "content", ["no JSON", "{}", pytest.param("[" * 100_000, id="deeply nested")]
)
def test_wrong_results_are_refused(model_file, data_file, tmp_path, content, capsys):
    results = tmp_path / "results.json"
    results.write_text(content)
    options = ["--results", str(results), "--html", str(tmp_path / "report.html")]
    assert main(["report", model_file, "--data", data_file, *options]) == 2
    assert "results" in capsys.readouterr().err
