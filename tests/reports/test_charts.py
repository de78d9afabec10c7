import pytest

from keras_dynamicgate.reports.charts import histogram, scatter, ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.93, 0.972, [0.93, 0.94, 0.95, 0.96, 0.97, 0.98]),
        (0.0, 0.0, [0.0, 0.02]),
        (-3.0, 12.0, [-4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0]),
    ],
)
def test_ticks_are_round_numbers_around_the_data(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_histogram_writes_the_number_above_each_bar():
    picture = histogram([0.0, 0.0, 1.0], 0.0, 1.0, "share", "Two and one.", bins=2)
    assert picture.count("<rect") == 2
    assert ">2</text>" in picture
    assert 'aria-label="Two and one."' in picture


def test_groups_of_a_scatter_plot_differ_in_shape():
    picture = scatter([[(0.5, 0.9)], [(1.0, 0.8)]], [(0.5, 0.9)], ("x", "y"), "Two points.")
    assert picture.count("<circle") == 1
    assert picture.count("<polygon") == 1
