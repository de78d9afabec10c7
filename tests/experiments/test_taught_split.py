import numpy as np

from keras_dynamicgate.datasets import Split
from keras_dynamicgate.experiments.taught_split import TaughtSplit


def test_labels_come_before_the_logits_of_the_teacher():
    split = Split(np.zeros((2, 3), "float32"), np.array([1, 0], "int32"))
    taught = TaughtSplit(split, np.array([[0.5, 2.0], [3.0, 4.0]]))
    _, targets = taught[[1, 0]]
    np.testing.assert_array_equal(targets, [[0, 3, 4], [1, 0.5, 2]])
    assert len(taught) == 2
