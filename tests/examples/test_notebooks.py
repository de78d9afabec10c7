import json
import pathlib
import re
import subprocess
import sys
import tomllib

import keras
import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOKS = ROOT / "examples" / "notebooks"


def test_notebooks_are_what_the_scripts_say():
    pytest.importorskip("jupytext")
    command = [sys.executable, NOTEBOOKS / "generate.py", "--check"]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))


def cells_of(path):
    return nbformat.read(path, as_version=4).cells


def tagged(cells, tag):
    """Give the position of the cell with a tag."""
    (place,) = [n for n, cell in enumerate(cells) if tag in cell.metadata.get("tags", [])]
    return place


def install_cell(path):
    """Give the first cell with code, which installs the package."""
    return next(cell.source for cell in cells_of(path) if cell.cell_type == "code")


def test_notebooks_open_in_colab_and_begin_quick():
    data_sets = ["mnist", "cifar10", "tiny_imagenet", "speech_commands", "pbmc3k"]
    assert [path.stem for path in PATHS] == sorted(
        ["quickstart", "gate_pretrained", "plasticity", *data_sets]
    )
    for path in PATHS:
        cells = cells_of(path)
        place = f"github/keras-dynamicgate/keras-dynamicgate/blob/main/{path.relative_to(ROOT)}"
        assert f"colab.research.google.com/{place}" in cells[0].source
        assert cells[tagged(cells, "parameters")].source.startswith("quick = True")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_first_cell_installs_an_extra_of_the_notebooks_own(path):
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (package,) = re.findall(r'^package = "(.*)"$', install_cell(path), re.MULTILINE)
    name, extras = re.fullmatch(r"([\w-]+)\[(.*)\]", package).groups()
    assert name == declared["name"]
    assert set(extras.split(",")) <= declared["optional-dependencies"].keys() - {"examples", "dev"}
    (archive,) = re.findall(r'^archive = "(.*)"$', install_cell(path), re.MULTILINE)
    assert archive == f"{declared['urls']['Repository']}/archive/refs/heads/main.zip"


def install(path, monkeypatch, working):
    """Run the cell that installs, where pip can install what `working` says alone."""
    tried = []

    def run(command, **options):
        tried.append(command[-1])
        return subprocess.CompletedProcess(command, 0 if working(command[-1]) else 1)

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    try:
        exec(install_cell(path), {})
    finally:
        monkeypatch.undo()
    return tried


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_installation_tries_the_index_then_the_archive_and_says_which(path, monkeypatch, capsys):
    (released,) = install(path, monkeypatch, lambda source: True)
    assert capsys.readouterr().out == f"Installed {released}\n"
    first, archive = install(path, monkeypatch, lambda source: "@ https://" in source)
    assert (first, archive.partition(" @ ")[0]) == (released, released)
    assert capsys.readouterr().out == f"Installed {archive}\n"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_installation_stops_with_one_sentence_where_nothing_can_be_installed(path, monkeypatch):
    with pytest.raises(SystemExit) as stopped:
        install(path, monkeypatch, lambda source: False)
    assert "\n" not in stopped.value.code
    assert stopped.value.code.startswith("Neither the package index nor https://")


def test_every_section_is_explained():
    for path in PATHS:
        for cell in cells_of(path):
            heading, _, text = cell.source.partition("\n")
            if cell.cell_type == "markdown" and heading.startswith("#"):
                assert text.strip(), (path.stem, heading)


def test_stored_outputs_are_small():
    assert sum(path.stat().st_size for path in PATHS) < 1_500_000


def test_stored_outputs_hold_pictures_and_nothing_that_went_wrong():
    for path in PATHS:
        outputs = [output for cell in cells_of(path) for output in cell.get("outputs", [])]
        assert {"error"}.isdisjoint(output.output_type for output in outputs), path.stem
        assert "Warning" not in json.dumps(outputs), path.stem
        if outputs:
            assert any("image/png" in output.get("data", {}) for output in outputs), path.stem


# What a cell puts before the others: the task of a notebook on few of its samples.
FEW = """
import dataclasses

from keras_dynamicgate import datasets, experiments

def few(folder, load=experiments.TASKS["{task}"].load):
    dataset = load(folder)
    names = ("train", "validation", "test")
    splits = {{name: datasets.Split(*getattr(dataset, name)[:1000]) for name in names}}
    return dataclasses.replace(dataset, **splits)

experiments.TASKS["{task}"] = dataclasses.replace(experiments.TASKS["{task}"], load=few)
"""


def execute(name, monkeypatch, tmp_path, before="", **parameters):
    """Run a notebook on the backend of its own, behind other code, and give its outputs."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    backend = re.search(r'"KERAS_BACKEND", "(\w+)"', install_cell(NOTEBOOKS / f"{name}.ipynb"))[1]
    if backend != keras.backend.backend():
        pytest.skip(f"this notebook runs on {backend}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    # Behind the notebook's own parameters, as papermill would put them.
    values = "\n".join(f"{key} = {str(value)!r}" for key, value in parameters.items())
    parameters = 1 + tagged(notebook.cells, "parameters")
    notebook.cells.insert(parameters, nbformat.v4.new_code_cell(values + before))
    client = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = {kind for output in outputs for kind in output.get("data", {})}
    text = "".join(output.get("text", "") for output in outputs)
    return shown, text


def test_quickstart_shows_each_step(monkeypatch, tmp_path):
    pytest.importorskip("mlxtend")
    pytest.importorskip("matplotlib")
    shown, text = execute("quickstart", monkeypatch, tmp_path)
    assert "image/png" in shown
    assert "MACs per sample" in text
    small = re.search(r"([\d,]+) parameters become ([\d,]+)", text)
    before, after = (int(number.replace(",", "")) for number in small.groups())
    assert after < before
    assert float(re.search(r"test accuracy ([\d.]+)%", text)[1]) > 90


def test_comparison_shows_a_table_and_pictures(monkeypatch, tmp_path, data_dir):
    # One for all: they differ in their data sets, which the tests of the scripts read.
    pytest.importorskip("matplotlib")
    parameters = {"before": FEW.format(task="mnist"), "data_dir": data_dir / "mnist"}
    shown, _ = execute("mnist", monkeypatch, tmp_path, **parameters)
    assert {"text/markdown", "image/png"} <= shown


def test_gate_pretrained_shows_what_is_left_and_which_gates_are_open(
    monkeypatch, tmp_path, data_dir
):
    pytest.importorskip("matplotlib")
    parameters = {"before": FEW.format(task="cifar10"), "data_dir": data_dir / "cifar10"}
    shown, text = execute("gate_pretrained", monkeypatch, tmp_path, **parameters)
    assert {"text/markdown", "image/png"} <= shown
    for name in ("dense", "gated, then trained on, distilled", "gated from scratch"):
        assert name in text
