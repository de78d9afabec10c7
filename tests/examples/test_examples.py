import json
import math
import pathlib
import re
import runpy
import subprocess
import sys

import pytest
from harness import environment_of_a_user

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = {
    "mnist": "mnist",
    "cifar10": "cifar10",
    "tiny_imagenet": "tiny-imagenet",
    "speech_commands": "speech_commands",
    "pbmc3k": "pbmc3k",
}


def run_example(name, *options):
    return subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py", *options],
        capture_output=True,
        text=True,
        env=environment_of_a_user(),
    )


@pytest.mark.one_backend("torch")
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


@pytest.mark.one_backend("jax")
def test_demo_prints_a_table_what_it_means_and_the_pictures_it_wrote(tmp_path):
    pytest.importorskip("mlxtend", reason="the extra `demo` is not installed")
    pytest.importorskip("matplotlib")
    finished = run_example("demo", "--quick", "--seeds", "1", "--out", tmp_path)
    assert finished.returncode == 0, finished.stderr
    for name in ("full network", "narrow at 0.1", "static at 0.1", "dynamic at 0.1"):
        assert name in finished.stdout
    assert "points at equal cost." in finished.stdout
    assert "times as fast as the full network." in finished.stdout
    for name in ("accuracy.png", "gates.png"):
        assert (tmp_path / name).is_file()
        assert str(tmp_path / name) in finished.stdout


def test_examples_are_short():
    for path in (ROOT / "examples").glob("*.py"):
        assert len(path.read_text().splitlines()) < 170, path


@pytest.mark.one_backend("torch")
@pytest.mark.parametrize("name", FOLDERS)
def test_example_names_what_is_missing_before_it_trains(name, tmp_path, monkeypatch):
    options = ["--quick", "--data-dir", tmp_path, "--out", tmp_path / "out"]
    monkeypatch.setattr("sys.argv", [name, *map(str, options)])
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path))):
        runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")


@pytest.mark.one_backend("torch")
def test_pbmc3k_example_lists_the_genes_that_are_enough(tmp_path, data_dir):
    pytest.importorskip("scanpy")
    options = ("--quick", "--models", "static", "--targets", "0.05", "--out", tmp_path)
    finished = run_example("pbmc3k", "--data-dir", data_dir / "pbmc3k", *options)
    assert finished.returncode == 0, finished.stderr
    assert "of 2,000 genes are enough for static at 0.05" in finished.stdout
    assert "MS4A1" in finished.stdout


@pytest.mark.one_backend("torch")
def test_transformer_example_compares_three_models(data_dir):
    pytest.importorskip("librosa")
    options = ("--quick", "--data-dir", data_dir / "speech_commands")
    finished = run_example("transformer_speech", *options)
    assert finished.returncode == 0, finished.stderr
    for name in ("dense", "narrow at 0.6", "gated at 0.6"):
        assert name in finished.stdout
    assert "MACs per sample" in finished.stdout


@pytest.mark.one_backend("torch")
def test_text_example_writes_a_row_for_each_model(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("so long lives this, and this gives life to thee. " * 100)
    options = ("--quick", "--text", text, "--json", tmp_path / "rows.jsonl")
    finished = run_example("text_transformer", *options, "--models", "narrow", "ranked gates")
    assert finished.returncode == 0, finished.stderr
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["model"] for row in rows] == ["narrow", "ranked gates"]
    # Eight of 32 blocks and the gate networks, beside attention and the rest.
    assert rows[0]["relative_macs"] < rows[1]["relative_macs"] < 0.5
    assert rows[0]["varying"] is None
    assert 0 <= rows[1]["varying"] <= 1
    assert all(math.isfinite(row["loss"]) for row in rows)


@pytest.mark.one_backend("torch")
def test_plasticity_example_shows_that_the_reference_is_untouched(tmp_path, data_dir):
    pytest.importorskip("matplotlib")
    options = ("--quick", "--modes", "none,both,all", "--data-dir", data_dir / "mnist")
    finished = run_example("plasticity", *options, "--out", tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "both, seed 0: 0.0% of its answers have changed" in finished.stdout
    assert "all, seed 0: 100.0% of its answers have changed" in finished.stdout
    runs = {
        run["model"]: run for run in json.loads((tmp_path / "results.json").read_text())["runs"]
    }
    assert runs["both"]["gained"] > runs["none"]["gained"] == 0
    assert (tmp_path / "curves.png").exists()


@pytest.mark.one_backend("torch")
def test_gate_pretrained_example_writes_a_row_for_each_model(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    finished = run_example("gate_pretrained", "--quick", "--out", tmp_path)
    assert finished.returncode == 0, finished.stderr
    rows = {row["model"]: row for row in json.loads((tmp_path / "results.json").read_text())}
    assert list(rows) == [
        "dense",
        "gated, then trained on",
        "gated, then trained on, distilled",
        "gated from scratch",
    ]
    assert rows["dense"]["relative MACs"] == 1.0
    assert min(row["accuracy"] for row in rows.values()) > 0.8
    assert (tmp_path / "gates.png").exists()
