import importlib.util
import pathlib

import pytest

from keras_dynamicgate import experiments

keras_tuner = pytest.importorskip("keras_tuner")
pytest.importorskip("sklearn")

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "tune_budget.py"


def example():
    spec = importlib.util.spec_from_file_location("tune_budget", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.one_backend("torch")
@pytest.mark.filterwarnings("ignore:The training ended at")
# KerasTuner calls what Python has deprecated.
@pytest.mark.filterwarnings("ignore:(currentThread|getName):DeprecationWarning")
def test_search_trains_each_trial_to_its_budget_and_ranks_by_worth(tmp_path):
    dataset = experiments.TASKS["digits"].dataset()
    recipe = experiments.Recipe(epochs=8, batch_size=32)
    tuner = keras_tuner.GridSearch(
        example().GatedDigits(dataset, recipe, price=0.1),
        objective=keras_tuner.Objective("worth", "max"),
        max_trials=2,
        directory=tmp_path,
    )
    tuner.search(verbose=0)
    trials = tuner.oracle.get_best_trials(2)
    assert {trial.hyperparameters.get("budget") for trial in trials} == {0.5, 0.3}
    assert trials[0].score >= trials[1].score
    for trial in trials:
        accuracy, relative = map(trial.metrics.get_best_value, ("val_accuracy", "relative_macs"))
        assert relative == pytest.approx(trial.hyperparameters.get("budget"), abs=0.1)
        assert trial.score == pytest.approx(accuracy - 0.1 * relative)
