import json
import os
import pathlib
import subprocess
import sys

import keras
import pytest

ROOT = pathlib.Path(__file__).parents[2]
KEYS = {
    "name",
    "accuracy",
    "dense_macs",
    "executed_macs",
    "gate_macs",
    "relative_macs",
    "relative_without_gates",
    "open_ratio",
    "seconds_per_epoch",
    "parameters",
}


def run_example(name, *options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, ROOT / "examples" / name, "--backend", keras.backend.backend(), *options],
        capture_output=True,
        text=True,
        env=environment,
    )


def test_digits_example_writes_results_and_pictures(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    finished = run_example("digits.py", "--epochs", "4", "--target-macs", "0.5", "--out", tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        "results.json",
        "gates.png",
        "history.png",
    }
    results = json.loads((tmp_path / "results.json").read_text())
    models = {run["name"]: run for run in results["models"]}
    assert set(models) == {"dense", "dense_narrow", "gated"}
    assert all(set(run) == KEYS for run in models.values())
    assert models["dense"]["relative_macs"] == 1.0
    gated, narrow = models["gated"], models["dense_narrow"]
    assert gated["executed_macs"] + gated["gate_macs"] == pytest.approx(
        gated["relative_macs"] * gated["dense_macs"]
    )
    # One unit more or less of the narrow network is 1/256 of the full one.
    assert narrow["relative_macs"] == pytest.approx(gated["relative_macs"], abs=1 / 256)
    assert "dense_narrow" in finished.stdout


def test_mnist_example_names_a_missing_file_before_it_trains(tmp_path):
    finished = run_example("mnist.py", "--data-dir", tmp_path, "--out", tmp_path / "out")
    assert finished.returncode != 0
    assert "train-images-idx3-ubyte" in finished.stderr
    assert "Epoch" not in finished.stdout
