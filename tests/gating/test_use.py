import numpy as np
import pytest

from keras_dynamicgate.gating.use import GateUse


def test_use_is_the_mean_over_samples_and_positions_of_all_batches():
    use = GateUse(2)
    use.add(np.array([[[1, 0], [1, 1]]]))  # one sample of two positions
    use.add(np.array([[[0, 0], [1, 1]]]))
    assert use.ratio.tolist() == [0.75, 0.5]
    assert use.varying == 1.0
    assert not use.labelled


def test_gates_vary_from_five_to_ninety_five_percent_of_use():
    use = GateUse(4)
    for row in range(20):
        use.add(np.array([[1, row > 0, row == 0, 0]]))
    assert use.ratio.tolist() == [1.0, 0.95, 0.05, 0.0]
    assert use.varying == 0.5


def test_bits_of_a_gate_are_its_mutual_information_with_the_label():
    use = GateUse(2)
    # Class 3: the first gate always, the second in half of the cases; class 7: never, half.
    use.add(np.array([[1, 0], [1, 1], [0, 0]]), np.array([3, 3, 7]))
    use.add(np.array([[0, 1]]), np.array([7]))
    assert use.labelled
    assert use.bits == pytest.approx(0.5)  # 1 bit and 0 bits


def test_labels_of_samples_hold_for_all_their_positions_and_labels_of_positions_for_one():
    masks = np.array([[[1], [0]], [[1], [0]]])
    by_sample, by_position = GateUse(1), GateUse(1)
    by_sample.add(masks, np.array([0, 1]))
    by_position.add(masks, np.array([[0, 1], [0, 1]]))
    assert by_sample.bits == 0.0
    assert by_position.bits == 1.0


def test_labels_of_positions_say_nothing_of_gates_that_decide_for_samples():
    use = GateUse(1)
    use.add(np.array([[1], [0]]), np.array([[0, 1], [0, 1]]))
    assert not use.labelled
    assert use.varying == 1.0
