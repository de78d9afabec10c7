import pytest

from keras_dynamicgate.experiments.figures import gated_runs, plot_usage

pytest.importorskip("matplotlib")


def run(model, target, seed=0, usage=0.5):
    history = {
        "gate_usage": [0.9, usage],
        "open_ratio": [1.0, usage],
        "relative_macs": [1.0, usage],
    }
    return {"model": model, "target": target, "seed": seed, "history": history}


def test_families_have_colours_and_budgets_have_styles_that_the_legend_names():
    # `static` has not got the first budget.
    runs = [run("dynamic", 0.1), run("dynamic", 0.5), run("static", 0.1)]
    figure = plot_usage(runs)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "dynamic",
        "static",
        "budget 0.5",
        "budget 0.1",
    ]
    looks = [(line.get_color(), line.get_linestyle()) for line in figure.axes[2].lines]
    assert looks == [("C0", "-"), ("C0", "--"), ("C1", "--")]
    handles = [(line.get_color(), line.get_linestyle()) for line in legend.get_lines()]
    assert handles == [("C0", "-"), ("C1", "-"), ("0.3", "-"), ("0.3", "--")]


def test_of_several_seeds_the_smallest_is_drawn_for_each_family():
    ungated = {"model": "narrow", "target": 0.5, "seed": 0, "history": {}}
    runs = [run("static", 0.5, seed=10), run("static", 0.5, seed=2), run("dynamic", 0.5), ungated]
    assert [(each["model"], each["seed"]) for each in gated_runs(runs)] == [
        ("dynamic", 0),
        ("static", 2),
    ]
    assert gated_runs([ungated]) == []
