import pytest

from keras_dynamicgate.experiments.tables import chosen, markdown_table, summarise
from keras_dynamicgate.utils.pareto import pareto_front


def result(model, target, seed, accuracy, theoretical=False):
    return {
        "model": model,
        "target": target,
        "seed": seed,
        "accuracy": accuracy,
        "macro_f1": 0.5,
        "open_ratio": 0.4,
        "relative_macs": 0.3,
        "relative_without_gates": 0.28,
        "theoretical": theoretical,
        "seconds": 1.0,
        "settings": {"widths": [12, 6], "dropout": 0.2},
    }


def test_seeds_are_averaged_with_the_sample_standard_deviation():
    (line,) = summarise([result("narrow", 0.3, 0, 0.9), result("narrow", 0.3, 1, 0.8)])
    assert line.seeds == 2
    assert line.mean["accuracy"] == pytest.approx(0.85)
    # Deviations of 0.05 each: sqrt((0.05^2 + 0.05^2) / 1).
    assert line.deviation["accuracy"] == pytest.approx(0.0707, abs=1e-4)


def test_seeds_with_different_settings_are_not_averaged():
    first, second = result("narrow", 0.3, 0, 0.9), result("narrow", 0.3, 1, 0.8)
    second["settings"] = {"widths": [13, 6], "dropout": 0.2}
    # Another budget may well have others.
    summarise([first, {**second, "target": 0.5}])
    message = (
        r"'narrow' at budget 0.3 have different settings.* Delete these runs and run the "
        r"comparison again. Received: settings=.*\[12, 6\].* with seed 0, "
        r"settings=.*\[13, 6\].* with seed 1"
    )
    with pytest.raises(ValueError, match=message):
        summarise([first, second])


def test_lines_are_ordered_by_budget_and_family_with_full_networks_first():
    runs = [
        result("dynamic", 0.3, 0, 0.9),
        result("narrow_distilled", 0.3, 0, 0.9),
        result("narrow", 0.15, 0, 0.9),
        result("narrow", 0.3, 0, 0.9),
        result("dropout", None, 0, 0.9),
    ]
    assert [(line.model, line.target) for line in summarise(runs)] == [
        ("dropout", None),
        ("narrow", 0.3),
        ("narrow_distilled", 0.3),
        ("dynamic", 0.3),
        ("narrow", 0.15),
    ]


def test_markdown_table_has_spread_gates_settings_and_marks_what_is_theoretical():
    runs = [result("pruned", 0.3, seed, 0.9, theoretical=True) for seed in range(3)]
    lines = markdown_table(summarise(runs)).splitlines()
    row = lines[2]
    assert "mean ± standard deviation over 3 seeds" in lines[-1]
    assert "one seed" in markdown_table(summarise(runs[:1]))
    assert row == (
        "| pruned | 0.3 | 90.00 ± 0.00 % | 50.00 ± 0.00 % | 0.40 | 0.300 * | 0.020 "
        "| widths 12-6, dropout 0.2 |"
    )


def test_pareto_front_leaves_out_what_another_beats_in_both():
    points = [(0.5, 90.0), (0.3, 91.0), (0.3, 89.0), (1.0, 92.0)]
    assert pareto_front(points) == [(0.3, 91.0), (1.0, 92.0)]


def test_line_is_chosen_by_its_last_validation_accuracy_and_not_by_the_test_split():
    runs = [
        {**result(model, 0.3, seed, accuracy), "history": {"val_accuracy": [1.0, last]}}
        for model, accuracy, lasts in (
            ("static", 0.7, (0.8, 0.9)),
            ("dynamic", 0.9, (0.7, 0.9)),
        )
        for seed, last in enumerate(lasts)
    ]
    summary = summarise(runs)
    assert [line.validation for line in summary] == pytest.approx([0.85, 0.8])
    assert chosen(summary).model == "static"


def test_model_without_a_validation_split_cannot_be_chosen():
    [line] = summarise([{**result("static", 0.3, 0, 0.9), "history": {}}])
    assert line.validation is None
    with pytest.raises(ValueError, match=r"on a validation split.*\['static'\] without one"):
        chosen([line])
