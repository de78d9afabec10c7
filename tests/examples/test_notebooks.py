import pathlib
import re
import subprocess
import sys

import keras
import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOKS = ROOT / "examples" / "notebooks"
FOLDERS = {
    "mnist": "mnist",
    "cifar10": "cifar10",
    "tiny_imagenet": "tiny-imagenet",
    "speech_commands": "speech_commands",
    "pbmc3k": "pbmc3k",
}


def test_notebooks_are_what_the_scripts_say():
    pytest.importorskip("jupytext")
    command = [sys.executable, NOTEBOOKS / "generate.py", "--check"]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


def test_notebooks_open_in_colab_and_begin_quick():
    paths = sorted(NOTEBOOKS.glob("*.ipynb"))
    assert [path.stem for path in paths] == sorted(["quickstart", "gate_pretrained", *FOLDERS])
    for path in paths:
        first, install, parameters = nbformat.read(path, as_version=4).cells[:3]
        assert (
            f"colab.research.google.com/github/keras-dynamicgate/keras-dynamicgate/blob/main/{path.relative_to(ROOT)}"
            in first.source
        )
        assert "%pip install" in install.source
        assert "KERAS_BACKEND" in install.source
        assert parameters.source.startswith("quick = True")


def execute(name, monkeypatch, tmp_path, **parameters):
    """Run a notebook on the backend of its own, and give its outputs."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    backend = re.search(r'"KERAS_BACKEND", "(\w+)"', notebook.cells[1].source)[1]
    if backend != keras.backend.backend():
        pytest.skip(f"this notebook runs on {backend}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    # Behind the notebook's own parameters, as papermill would put them.
    values = "\n".join(f"{key} = {str(value)!r}" for key, value in parameters.items())
    assert notebook.cells[2].metadata.tags == ["parameters"]
    notebook.cells.insert(3, nbformat.v4.new_code_cell(values))
    client = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = {kind for output in outputs for kind in output.get("data", {})}
    text = "".join(output.get("text", "") for output in outputs)
    return shown, text


def test_quickstart_shows_each_step(monkeypatch, tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    shown, text = execute("quickstart", monkeypatch, tmp_path)
    assert "image/png" in shown
    assert "MACs per sample" in text
    small = re.search(r"([\d,]+) parameters become ([\d,]+)", text)
    before, after = (int(number.replace(",", "")) for number in small.groups())
    assert after < before
    assert float(re.search(r"test accuracy ([\d.]+)%", text)[1]) > 90


@pytest.mark.parametrize("name", FOLDERS)
def test_comparison_shows_a_table_and_pictures(name, monkeypatch, tmp_path, data_dir):
    for package in ("matplotlib", "librosa", "scanpy", "PIL"):
        pytest.importorskip(package)
    shown, text = execute(name, monkeypatch, tmp_path, data_dir=data_dir / FOLDERS[name])
    assert {"text/markdown", "image/png"} <= shown


def test_gate_pretrained_shows_what_is_left_and_which_gates_are_open(
    monkeypatch, tmp_path, data_dir
):
    pytest.importorskip("matplotlib")
    parameters = {"data_dir": data_dir / "cifar10", "out": tmp_path}
    shown, text = execute("gate_pretrained", monkeypatch, tmp_path, **parameters)
    assert {"text/markdown", "image/png"} <= shown
    for name in ("dense", "gated, then trained on, distilled", "gated from scratch"):
        assert name in text
