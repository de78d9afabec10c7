import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = {
    "mnist": "mnist",
    "cifar10": "cifar10",
    "tiny_imagenet": "tiny-imagenet",
    "speech_commands": "speech_commands",
    "pbmc3k": "pbmc3k",
}


def run_example(name, *options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py", *options],
        capture_output=True,
        text=True,
        env=environment,
    )


def test_digits_example_writes_results_and_pictures(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    options = ("--quick", "--models", "narrow,dynamic", "--out", tmp_path)
    finished = run_example("digits", *options)
    assert finished.returncode == 0, finished.stderr
    written = {path.name for path in tmp_path.iterdir()}
    assert {"results.json", "results.md", "pareto.png", "gates-dynamic-0.3-0.png"} <= written
    runs = json.loads((tmp_path / "results.json").read_text())["runs"]
    accuracy = {run["model"]: run["accuracy"] for run in runs}
    assert min(accuracy["narrow"], accuracy["dynamic"]) > 0.85
    for run in runs:
        assert run["relative_macs"] == pytest.approx(0.3, abs=0.05)
    assert "narrow" in finished.stdout


def test_examples_are_short():
    for path in (ROOT / "examples").glob("*.py"):
        assert len(path.read_text().splitlines()) < 120, path


@pytest.mark.parametrize("name", FOLDERS)
def test_example_names_what_is_missing_before_it_trains(name, tmp_path):
    finished = run_example(name, "--quick", "--data-dir", tmp_path, "--out", tmp_path / "out")
    assert finished.returncode != 0
    assert "FileNotFoundError" in finished.stderr
    assert str(tmp_path) in finished.stderr


def test_pbmc3k_example_lists_the_genes_that_are_enough(tmp_path, data_dir):
    pytest.importorskip("scanpy")
    options = ("--quick", "--models", "static", "--targets", "0.05", "--out", tmp_path)
    finished = run_example("pbmc3k", "--data-dir", data_dir / "pbmc3k", *options)
    assert finished.returncode == 0, finished.stderr
    assert "of 2,000 genes are enough for static at 0.05" in finished.stdout
    assert "MS4A1" in finished.stdout
