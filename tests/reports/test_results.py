import pytest

from keras_dynamicgate.reports.results import ResultRow, best_runs, read_runs


def run(accuracy, relative_macs):
    return ResultRow("gated", "", accuracy, relative_macs)


def test_front_has_the_runs_that_no_other_beats():
    cheap, better, best = run(0.90, 0.1), run(0.95, 0.3), run(0.97, 1.0)
    beaten = [run(0.89, 0.2), run(0.95, 0.4), run(0.85, 0.1)]
    assert best_runs([best, *beaten, better, cheap]) == [cheap, better, best]


def test_runs_are_read_with_and_without_a_target():
    content = {"model": "gated", "accuracy": 0.9, "relative_macs": 0.3, "seed": 1}
    runs = read_runs({"runs": [content, {**content, "target": 0.25}]})
    assert runs == [ResultRow("gated", "", 0.9, 0.3), ResultRow("gated", "0.25", 0.9, 0.3)]


@pytest.mark.parametrize("results", [[], {}, {"runs": []}, {"runs": {}}, {"models": [{}]}])
def test_results_without_runs_are_refused(results):
    with pytest.raises(ValueError, match=r"`results` must be a dict with a list of runs"):
        read_runs(results)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": None}, r"results\['runs'\]\[0\].*name of a `model`"),
        ({"accuracy": 90}, r"\['accuracy'\]` must be a number from 0 to 1"),
        ({"relative_macs": "0.3"}, r"\['relative_macs'\]` must be a number of at least 0"),
        ({"relative_macs": 10**4000}, r"\['relative_macs'\]` must be a number of at least 0"),
        ({"relative_macs": float("nan")}, r"\['relative_macs'\]` must be a number of at least 0"),
    ],
)
def test_wrong_run_is_named(change, message):
    content = {"model": "gated", "accuracy": 0.9, "relative_macs": 0.3}
    with pytest.raises(ValueError, match=message):
        read_runs({"runs": [{**content, **change}]})
