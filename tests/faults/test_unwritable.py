"""Where nothing can be written there is one error, with the file's name, and no file is harmed."""

import pathlib
import tempfile

import keras
import numpy as np
import pytest
from faults.unwritable import full_disk, read_only_folder

import keras_dynamicgate as kdg
from keras_dynamicgate.cli import main
from keras_dynamicgate.datasets.reading.feature_cache import cached_arrays
from keras_dynamicgate.experiments.outputs import write_results
from keras_dynamicgate.experiments.store import Run, RunStore

pytestmark = pytest.mark.one_backend("torch")

X = np.random.default_rng(0).normal(size=(8, 8)).astype("float32")
RUN = Run("narrow", 0.5, 0)
RESULT = {"settings": {}, "theoretical": False, "seconds": 1.0, "open_ratio": 0.5}
RESULT |= dict.fromkeys(["accuracy", "macro_f1", "relative_macs", "relative_without_gates"], 0.5)
FAULTS = pytest.mark.parametrize("fault", [full_disk, read_only_folder])


@pytest.fixture(scope="module")
def model():
    layers = [kdg.DynamicGateDense(8, gate="static", top_k=4), keras.layers.Dense(2)]
    return keras.Sequential([keras.Input((8,)), *layers])


@pytest.fixture
def folder():
    """A folder that others can look into, which those of pytest do not allow."""
    with tempfile.TemporaryDirectory() as path:
        pathlib.Path(path).chmod(0o755)
        yield pathlib.Path(path)


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def store(model, folder):
    RunStore(folder, {"task": "tiny"}).add(RUN, RESULT)


def teacher(model, folder):
    RunStore(folder, {"task": "tiny"}).add_teacher(RUN, {"train": X})


def results(model, folder):
    own = RunStore(folder, {"task": "tiny"})
    # The writer of the file of a run has a case of its own.
    own.results = lambda: [{"model": "narrow", "target": 0.5, "seed": 0, **RESULT}]
    write_results(own)


def page(model, folder):
    kdg.reports.html_report(model, X, path=folder / "report.html")


def summary(model, folder):
    callback = kdg.GateSummary(X, folder, verbose=0)
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_end(0)


def picture(model, folder):
    from keras_dynamicgate.pictures import figure

    figure.save(figure.new_figure(1, 1), folder / "gates.png")


def pareto(model, folder):
    callback = kdg.ParetoCheckpoint(folder, monitor="loss", mode="min")
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_end(0, {"loss": 1.0 - 0.1 * len(callback.front), "relative_macs": 0.5})


WRITERS = [store, teacher, results, page, summary, picture, pareto]


@FAULTS
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_what_was_written_before_is_whole_and_the_error_names_the_file(fault, write, model, folder):
    if write is picture:
        pytest.importorskip("matplotlib")
    write(model, folder)
    before = contents(folder)
    with fault(folder) as reason, pytest.raises(OSError, match=reason) as caught:
        write(model, folder)
    assert contents(folder) == before
    named = pathlib.Path(caught.value.filename)
    assert named.is_relative_to(folder)
    assert named.name[0] != "."
    # Once there is place again, all goes on.
    write(model, folder)


@FAULTS
def test_features_are_given_with_a_warning_if_they_cannot_be_kept(fault, folder):
    cached_arrays(folder, 1, lambda: {"x": X})
    before = contents(folder)
    with fault(folder) as reason, pytest.warns(UserWarning, match=f"could not be kept.*{reason}"):
        features = cached_arrays(folder, 2, lambda: {"x": 2 * X})
    np.testing.assert_array_equal(features["x"], 2 * X)
    assert contents(folder) == before


@FAULTS
@pytest.mark.parametrize("command", ["compact", "report", "compare"])
def test_commands_name_the_file_without_a_traceback(fault, command, model, folder, capsys):
    model.save(folder / "model.keras")
    np.save(folder / "x.npy", X)
    out = folder / "out"
    out.mkdir()
    saved = str(folder / "model.keras")
    arguments = {
        "compact": [saved, "--out", str(out / "small.keras"), "--force"],
        "report": [
            saved,
            "--data",
            str(folder / "x.npy"),
            "--html",
            str(out / "r.html"),
            "--force",
        ],
        "compare": ["digits", "--models", "linear", "--quick", "--out", str(out)],
    }[command]
    if command == "compare":
        pytest.importorskip("sklearn")
        (out / "notes.txt").write_text("mine")
    else:
        assert main([command, *arguments]) == 0
    before = contents(folder)
    capsys.readouterr()
    with fault(folder) as reason:
        assert main([command, *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"keras-dynamicgate: cannot read or write '{out}/")
    assert line.endswith(reason)
    assert contents(folder) == before
