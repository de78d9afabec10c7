import pytest

from keras_dynamicgate.pictures.serving import plot_serving

pytest.importorskip("matplotlib")


def test_load_p99_with_its_target_and_budget_are_drawn_over_the_time_since_the_start():
    moments = [(10.0, 0.25, 32.0, 0.5), (11.0, 0.5, 64.0, 0.3)]
    load, p99, budget = plot_serving(moments, 0.4, "p99 of latency, seconds").axes
    lines = [axes.lines[0].get_xydata().tolist() for axes in (load, p99, budget)]
    assert lines == [
        [[0.0, 32.0], [1.0, 64.0]],
        [[0.0, 0.25], [1.0, 0.5]],
        [[0.0, 0.5], [1.0, 0.3]],
    ]
    assert list(p99.lines[1].get_ydata()) == [0.4, 0.4]
    assert p99.get_ylabel() == "p99 of latency, seconds"
