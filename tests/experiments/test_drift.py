import json

import numpy as np
import pytest

from keras_dynamicgate.experiments import DRIFTS, drift
from keras_dynamicgate.experiments.under_drift import kinds
from keras_dynamicgate.experiments.under_drift.lesson import Lesson, learn
from keras_dynamicgate.experiments.under_drift.students import STUDENTS, ready, trained

# Two epochs are too short for a budget.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The training ended:UserWarning"),
    pytest.mark.filterwarnings("ignore:The gates of layer:UserWarning"),
    pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning"),
]


def test_noise_is_clipped_and_blurred():
    images = np.full((1, 3, 3), 0.5, "float32")
    noise = np.random.default_rng(0).normal(0.0, 0.5, (1, 3, 3)).astype("float32")
    changed = kinds.noisy_and_blurred(images, seed=0)
    np.testing.assert_allclose(changed[0, 1, 1], np.clip(0.5 + noise, 0, 1).mean(), rtol=1e-5)
    # At a corner five of the nine pixels lie outside and count as 0.
    corner = np.clip(0.5 + noise, 0, 1)[0, :2, :2].sum() / 9
    np.testing.assert_allclose(changed[0, 0, 0], corner, rtol=1e-5)
    assert kinds.noisy_and_blurred(np.zeros((2, 4, 4, 3), "float32"), 1).shape == (2, 4, 4, 3)


def test_images_turn_by_a_quarter():
    assert kinds.turned(np.array([[[1, 2], [3, 4]]]), 0).tolist() == [[[2, 4], [1, 3]]]


def test_labels_of_two_classes_are_exchanged_and_only_their_samples_come():
    labels = np.array([0, 3, 5, 5])
    exchange = DRIFTS["labels"]
    assert exchange.labels(labels).tolist() == [0, 5, 3, 3]
    assert exchange.comes(labels).tolist() == [False, True, True, True]
    assert exchange.ends(labels).tolist() == [False, True, True, True]
    assert DRIFTS["noise"].comes(labels).all()
    assert not DRIFTS["noise"].ends(labels).any()


@pytest.mark.one_backend("torch")
def test_modes_learn_from_copies_of_one_model_and_write_what_they_reach(task, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    runs = drift(task, modes=("none", "both", "dense_low_rank"), seeds=1, out=tmp_path)
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        "conditions.json",
        "results.json",
        "results.md",
        "curves.png",
        "gained_forgotten.png",
    }
    assert json.loads((tmp_path / "results.json").read_text())["runs"] == runs
    by_mode = {run["model"]: run for run in runs}
    assert (
        by_mode["none"]["gained"] == by_mode["none"]["forgotten"] == by_mode["none"]["moved"] == 0
    )
    assert by_mode["both"]["changed"] == 0
    assert by_mode["both"]["may_move"] > 0
    assert by_mode["dense_low_rank"]["moved"] > 0
    assert "| both |" in (tmp_path / "results.md").read_text()
    assert "both" in capsys.readouterr().out
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    assert drift(task, modes=("none", "both", "dense_low_rank"), seeds=1, out=tmp_path) == runs
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()} == times


def test_both_recovers_what_it_can_and_leaves_answers_to_the_reference(task):
    dataset = task.dataset()
    (x, y), (test_x, test_y) = dataset.train[:], dataset.test[:]
    lesson = Lesson((1.0 - x, y), (1.0 - test_x, test_y), (test_x, test_y), x)
    results = {}
    for mode in ("none", "both"):
        model = ready(trained(task, dataset, x, True, 0), STUDENTS[mode])
        results[mode] = learn(model, STUDENTS[mode], lesson, lambda: None)
    assert results["both"]["changed"] == 0
    assert results["both"]["accuracy"] >= results["none"]["accuracy"]
    assert len(results["both"]["curves"]["stream"]) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modes": ("every",)}, "`modes` must hold names among none, gates"),
        ({"modes": ()}, "`modes` must hold names"),
        ({"kind": "rain"}, "`kind` must be one of noise, rotation, labels"),
        ({"seeds": 0}, "`seeds` must be a positive integer"),
        ({"task": "minst"}, "`task` must be one of digits"),
    ],
)
def test_what_cannot_be_compared_is_refused(task, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        drift(**{"task": task, "out": tmp_path / "out", **arguments})
    assert not (tmp_path / "out").exists()


def test_square_images_are_needed_to_turn_them():
    with pytest.raises(ValueError, match="must be one of noise, labels for samples of shape"):
        kinds.require("rotation", (4, 8))
    with pytest.raises(ValueError, match="must be one of labels for samples of shape"):
        kinds.require("noise", (32,))
