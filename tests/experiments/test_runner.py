import csv
import dataclasses
import json

import pytest

from keras_dynamicgate.experiments import Recipe, compare
from keras_dynamicgate.experiments.options import parse
from keras_dynamicgate.experiments.store import Run, RunStore
from keras_dynamicgate.experiments.training import Trainer

# Two epochs are too short for a budget.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The training ended:UserWarning"),
    pytest.mark.filterwarnings("ignore:The gates of layer:UserWarning"),
]


def test_comparison_writes_results_tables_and_pictures(task, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    models = ("narrow", "dynamic", "switch_moe")
    runs = compare(task, models=models, targets=(0.5,), seeds=1, out=tmp_path)
    assert {run["model"] for run in runs} == set(models)
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        "conditions.json",
        "results.json",
        "results.csv",
        "results.md",
        "pareto.png",
        "usage.png",
        "gates-dynamic-0.5-0.png",
    }
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["task"]["hidden"] == [32, 16]
    assert results["runs"] == runs
    by_model = {run["model"]: run for run in runs}
    assert by_model["narrow"]["signatures"] is None
    assert 0 <= by_model["dynamic"]["signatures"]["flip_rate"] <= 1
    # Two of eight experts for each input.
    assert by_model["switch_moe"]["signatures"]["usage_entropy"] > 0
    assert len(by_model["dynamic"]["history"]["relative_macs"]) == 1
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert float(rows[0]["accuracy"]) == runs[0]["accuracy"]
    assert "narrow" in capsys.readouterr().out


def test_interrupted_comparison_goes_on_at_the_run_that_was_cut(task, tmp_path, monkeypatch):
    trained = []
    train = Trainer.train

    def train_one(self, run, progress=()):
        if len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(str(run))
        return train(self, run, progress)

    monkeypatch.setattr(Trainer, "train", train_one)
    arguments = {"models": ("narrow",), "targets": (0.5,), "seeds": 2, "out": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        compare(task, **arguments)
    assert trained == ["narrow-0.5-0"]
    trained.clear()
    assert len(compare(task, **arguments)) == 2
    assert trained == ["narrow-0.5-1"]


def test_distilled_models_learn_from_the_full_network_of_their_seed(task, tmp_path):
    runs = compare(task, models=("narrow_distilled",), targets=(0.5,), seeds=[3], out=tmp_path)
    assert {(run["model"], run["seed"]) for run in runs} == {
        ("dropout", 3),
        ("narrow_distilled", 3),
    }
    assert [path.name for path in (tmp_path / "teachers").iterdir()] == ["dropout-3.npz"]


def test_same_seed_gives_the_same_result(task, tmp_path):
    results = [
        compare(task, models=("static",), targets=(0.5,), seeds=1, out=tmp_path / name)[0]
        for name in "ab"
    ]
    assert results[0]["accuracy"] == results[1]["accuracy"]
    assert results[0]["relative_macs"] == results[1]["relative_macs"]


def test_folder_of_runs_under_other_conditions_is_refused(task, tmp_path):
    compare(task, models=("narrow",), targets=(0.5,), seeds=1, out=tmp_path)
    other = dataclasses.replace(task, recipe=Recipe(epochs=3))
    with pytest.raises(ValueError, match=r"under other conditions: task was .*`out`"):
        compare(other, models=("narrow",), targets=(0.5,), seeds=1, out=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "minst"}, "`task` must be one of digits, mnist"),
        ({"models": ("dens",)}, "`models` must hold names among linear, dense"),
        ({"targets": (30,)}, "`targets` must hold floats above 0 and below 1"),
    ],
)
def test_unknown_names_and_targets_are_refused_before_anything_is_read(
    arguments, message, tmp_path
):
    with pytest.raises(ValueError, match=message):
        compare(**{"task": "digits", "out": tmp_path / "new", **arguments})
    assert not (tmp_path / "new").exists()


def test_result_that_is_half_written_does_not_count(tmp_path):
    store = RunStore(tmp_path, {})
    (tmp_path / "runs" / "narrow-0.5-0.json.7.partial").write_text("{")
    assert Run("narrow", 0.5, 0) not in store
    assert store.results() == []


def test_quick_run_of_a_script_has_one_budget_and_one_seed(monkeypatch):
    monkeypatch.setattr("sys.argv", ["script.py", "--quick"])
    assert parse("A script.")["targets"] == (0.3,)
    assert parse("A script.")["seeds"] == 1
    monkeypatch.setattr("sys.argv", ["script.py", "--targets", "0.5,0.1", "--models", "dense"])
    options = parse("A script.")
    assert (options["targets"], options["models"]) == ((0.5, 0.1), ("dense",))
    assert (options["seeds"], options["quick"]) == (3, False)
