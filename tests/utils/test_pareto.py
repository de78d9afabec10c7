from keras_dynamicgate.utils.pareto import pareto_front


def test_points_that_no_other_beats_remain_from_cheap_to_costly():
    assert pareto_front([(0.5, 90.0), (0.2, 80.0), (0.4, 70.0), (0.5, 85.0), (1.0, 95.0)]) == [
        (0.2, 80.0),
        (0.5, 90.0),
        (1.0, 95.0),
    ]


def test_more_cost_for_the_same_accuracy_is_beaten():
    assert pareto_front([(0.5, 90.0), (0.2, 90.0), (0.2, 90.0)]) == [(0.2, 90.0)]


def test_points_of_any_kind_say_where_they_lie():
    points = [{"macs": 2, "right": 9, "name": "a"}, {"macs": 1, "right": 9, "name": "b"}]
    front = pareto_front(points, lambda point: (point["macs"], point["right"]))
    assert [point["name"] for point in front] == ["b"]


def test_no_points_have_no_front():
    assert pareto_front([]) == []
