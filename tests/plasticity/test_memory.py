import numpy as np
import pytest

from keras_dynamicgate.plasticity.memory import Memory


def test_a_reservoir_keeps_each_sample_with_the_same_chance():
    kept = np.zeros(20)
    for seed in range(300):
        memory = Memory(5, "reservoir", seed)
        memory.add(np.arange(20.0), np.arange(20))
        kept[memory.samples()[1]] += 1
    # 75 each on average, with a standard deviation of 7.5.
    assert kept.sum() == 1500
    assert np.abs(kept - 75).max() < 30


def test_a_window_keeps_the_latest():
    memory = Memory(3, "window")
    memory.add(np.arange(5.0), np.arange(5))
    assert sorted(memory.samples()[1].tolist()) == [2, 3, 4]


def test_labels_of_a_wider_type_lose_nothing():
    memory = Memory(4, "window")
    memory.add(np.zeros((2, 1), "float32"), np.array([0, 1]))
    memory.add(np.zeros((1, 1), "float32"), np.array([0.5]))
    assert memory.samples()[1].tolist() == [0.0, 1.0, 0.5]
    assert memory.samples()[0].dtype == "float32"


def test_samples_of_another_shape_are_refused():
    memory = Memory(4, "window")
    memory.add(np.zeros((2, 1)), np.zeros(2))
    with pytest.raises(ValueError, match=r"`y` must hold samples of shape \(\).*shape \(1, 1\)"):
        memory.check(np.zeros((1, 1)), np.zeros((1, 1)))
