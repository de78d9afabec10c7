import csv
import dataclasses
import hashlib
import json

import pytest

from keras_dynamicgate.datasets import Split
from keras_dynamicgate.experiments import Recipe, compare
from keras_dynamicgate.experiments.training import Trainer

# Two epochs are too short for a budget.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The training ended:UserWarning"),
    pytest.mark.filterwarnings("ignore:The gates of layer:UserWarning"),
]


@pytest.mark.one_backend("torch")
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


@pytest.mark.one_backend("torch")
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
    (run,) = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert (run["model"], run["seed"]) == ("narrow", 0)
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 2
    assert "| narrow | 0.5 |" in (tmp_path / "results.md").read_text()
    trained.clear()
    assert len(compare(task, **arguments)) == 2
    assert trained == ["narrow-0.5-1"]


@pytest.mark.one_backend("torch")
def test_distilled_models_learn_from_the_full_network_of_their_seed(task, tmp_path):
    runs = compare(task, models=("narrow_distilled",), targets=(0.5,), seeds=[3], out=tmp_path)
    assert {(run["model"], run["seed"]) for run in runs} == {
        ("dropout", 3),
        ("narrow_distilled", 3),
    }
    assert [path.name for path in (tmp_path / "teachers").iterdir()] == ["dropout-3.npz"]


@pytest.mark.one_backend("torch")
def test_distilled_models_have_the_dropout_that_the_task_gives_them(task, tmp_path):
    task = dataclasses.replace(task, dropout=0.4, distilled_dropout=0.1)
    runs = compare(task, models=("static_distilled",), targets=(0.5,), seeds=1, out=tmp_path)
    assert {run["model"]: run["settings"]["dropout"] for run in runs} == {
        "dropout": 0.4,
        "static_distilled": 0.1,
    }


def test_same_seed_gives_the_same_result(task, tmp_path):
    results = [
        compare(task, models=("static",), targets=(0.5,), seeds=1, out=tmp_path / name)[0]
        for name in "ab"
    ]
    assert results[0]["accuracy"] == results[1]["accuracy"]
    assert results[0]["relative_macs"] == results[1]["relative_macs"]


@pytest.mark.one_backend("torch")
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
        ({"models": "dense"}, "`models` must hold names among linear.*models='dense'"),
        ({"models": ()}, r"`models` must hold names .*models=\(\)"),
        ({"targets": (30,)}, "`targets` must hold floats above 0 and below 1"),
        ({"targets": ()}, r"`targets` must hold floats .*targets=\(\)"),
        ({"targets": 0.3}, "`targets` must hold floats .*targets=0.3"),
        ({"targets": "0.3"}, "`targets` must hold floats .*targets='0.3'"),
        ({"seeds": 0}, "`seeds` must be a positive integer.*seeds=0"),
        ({"seeds": -1}, "`seeds` must be a positive integer.*seeds=-1"),
        ({"seeds": 1.5}, "`seeds` must be a positive integer.*seeds=1.5"),
        ({"seeds": []}, r"`seeds` must be .*a sequence of integers from 0.*seeds=\[\]"),
        ({"seeds": [-1]}, r"from 0 to 4294967295. Received: seeds=\[-1\]"),
        ({"seeds": [2**32]}, r"from 0 to 4294967295. Received: seeds=\[4294967296\]"),
        ({"seeds": [0.5]}, r"`seeds` must be .*seeds=\[0.5\]"),
    ],
)
def test_what_is_unknown_or_out_of_range_is_refused_before_anything_is_read(
    arguments, message, tmp_path
):
    with pytest.raises(ValueError, match=message):
        compare(**{"task": "digits", "out": tmp_path / "new", **arguments})
    assert not (tmp_path / "new").exists()


def test_budget_below_what_the_head_costs_is_refused_before_anything_trains(task, tmp_path):
    # The head has 16 x 2 of 1568 multiply-accumulates.
    message = r"`targets` must hold budgets above 0.02041 for 'pruned_distilled'.*with 0.02$"
    with pytest.raises(ValueError, match=message):
        compare(task, models=("narrow", "pruned_distilled"), targets=(0.5, 0.02), out=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.one_backend("torch")
def test_folder_of_runs_on_other_data_is_refused(task, tmp_path):
    arguments = {"models": ("narrow",), "targets": (0.5,), "seeds": 1, "out": tmp_path}
    compare(task, **arguments)
    conditions = json.loads((tmp_path / "conditions.json").read_text())
    # The labels 0, 1, 0, 1 and so on, 64 + 16 + 32 of them, as bytes.
    labels = hashlib.sha256(b"\0\0\0\0\1\0\0\0" * 56).hexdigest()[:16]
    assert conditions["data"] == {
        "train": 64,
        "validation": 16,
        "test": 32,
        "classes": 2,
        "labels": labels,
    }
    compare(task, **arguments)

    def other_labels(folder):
        dataset = task.load(folder)
        test = Split(dataset.test.x, 1 - dataset.test.y)
        return dataclasses.replace(dataset, test=test)

    with pytest.raises(ValueError, match=r"under other conditions: data was .*`out`"):
        compare(dataclasses.replace(task, load=other_labels), **arguments)


@pytest.mark.one_backend("torch")
def test_gates_are_drawn_for_the_first_seed(task, tmp_path):
    pytest.importorskip("matplotlib")
    compare(task, models=("static",), targets=(0.5,), seeds=[2, 1], out=tmp_path)
    assert [path.name for path in tmp_path.glob("gates-*")] == ["gates-static-0.5-2.png"]


@pytest.mark.one_backend("torch")
def test_comparison_without_gates_draws_no_usage(task, tmp_path):
    pytest.importorskip("matplotlib")
    compare(task, models=("linear",), seeds=1, out=tmp_path)
    assert [path.name for path in tmp_path.glob("*.png")] == ["pareto.png"]


@pytest.mark.one_backend("torch")
def test_models_with_gates_and_teachers_train_without_validation_samples(task, tmp_path):
    task = dataclasses.replace(task, load=_without_validation(task.load))
    runs = compare(task, models=("dynamic_distilled",), targets=(0.5,), seeds=1, out=tmp_path)
    assert {run["model"] for run in runs} == {"dropout", "dynamic_distilled"}


def _without_validation(load):
    def load_without(folder):
        dataset = load(folder)
        none = slice(0)
        return dataclasses.replace(dataset, validation=Split(*dataset.validation[none]))

    return load_without


@pytest.mark.one_backend("torch")
def test_seeds_with_other_settings_are_refused_before_anything_trains(task, tmp_path, monkeypatch):
    arguments = {"models": ("narrow",), "targets": (0.5,), "out": tmp_path}
    (run,) = compare(task, seeds=1, **arguments)
    other = {**run, "seed": 1, "settings": {"widths": [1, 1], "dropout": 0.2}}
    (tmp_path / "runs" / "narrow-0.5-1.json").write_text(json.dumps(other))
    monkeypatch.setattr(Trainer, "train", None)
    with pytest.raises(
        ValueError, match=r"'narrow' at budget 0.5 .*different settings.*with seed 1"
    ):
        compare(task, seeds=3, **arguments)


@pytest.mark.one_backend("torch")
def test_elastic_families_train_one_model_for_all_budgets(task, tmp_path, monkeypatch):
    trained = []
    train = Trainer.train

    def train_one(self, run, progress=()):
        trained.append(str(run))
        return train(self, run, progress)

    monkeypatch.setattr(Trainer, "train", train_one)
    arguments = {"models": ("elastic_static",), "targets": (0.25, 0.5), "seeds": 1, "out": tmp_path}
    runs = {run["target"]: run for run in compare(task, **arguments)}
    assert len(trained) == 1
    assert sorted(runs) == [0.25, 0.5]
    assert runs[0.25]["settings"]["budgets"] == [0.5, 0.25]
    assert runs[0.25]["relative_macs"] <= runs[0.5]["relative_macs"]
    assert runs[0.25]["seconds"] == runs[0.5]["seconds"]
    assert runs[0.25]["between"] is None
    assert 0.25 < runs[0.5]["between"]["budget"] < 0.5
    assert runs[0.25]["monotone"]
    assert runs[0.5]["monotone"]
    # What was seen while it was trained is true of the largest budget alone.
    assert len(runs[0.5]["history"]["relative_macs"]) == 1
    assert not runs[0.25]["history"]
    assert len(compare(task, **arguments)) == 2
    assert len(trained) == 1


def test_elastic_families_need_several_budgets(task):
    with pytest.raises(ValueError, match="must hold at least 2 budgets for 'elastic_static'"):
        compare(task, models=("elastic_static",), targets=(0.5,), seeds=1)
