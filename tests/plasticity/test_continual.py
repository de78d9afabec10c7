import numpy as np
import pytest

from keras_dynamicgate.plasticity import continual_measures, flip_rate

# Rows: after task 0, 1 and 2; columns: accuracy on task 0, 1 and 2.
ACCURACIES = [[0.9, 0.2, 0.1], [0.95, 0.8, 0.3], [0.7, 0.75, 0.85]]


def test_measures_are_those_of_the_formulas():
    found = continual_measures(ACCURACIES, untrained=[0.1, 0.1, 0.2])
    assert found == pytest.approx(
        {
            "average_accuracy": (0.7 + 0.75 + 0.85) / 3,
            "backward_transfer": ((0.7 - 0.9) + (0.75 - 0.8)) / 2,
            # The best of task 0 was .95, after task 1.
            "forgetting": ((0.95 - 0.7) + (0.8 - 0.75)) / 2,
            "forward_transfer": ((0.2 - 0.1) + (0.3 - 0.2)) / 2,
        }
    )


def test_one_task_has_no_transfer():
    found = continual_measures([[0.9]])
    assert found["average_accuracy"] == 0.9
    assert np.isnan([found["backward_transfer"], found["forgetting"]]).all()
    assert "forward_transfer" not in found


def test_flips_are_counted_on_the_same_inputs():
    assert flip_rate([0, 1, 2, 0], [0, 1, 1, 1]) == 0.5
    assert flip_rate([[0.6, 0.4], [0.4, 0.6]], [[0.9, 0.1], [0.8, 0.2]]) == 0.5


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"`accuracies` must have the shape .*shape \(1, 2\)"):
        continual_measures([[0.1, 0.2]])
    with pytest.raises(ValueError, match=r"`untrained` must have the shape `\(1,\)`"):
        continual_measures([[0.1]], [0.1, 0.2])
