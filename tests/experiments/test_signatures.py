import numpy as np
import pytest

from keras_dynamicgate.experiments import signatures
from keras_dynamicgate.experiments.measures import macro_f1


def test_difficulty_correlates_with_what_runs():
    confidence = np.array([0.9, 0.8, 0.7])
    assert signatures.difficulty_correlation(confidence, np.array([0.1, 0.2, 0.3])) == 1.0
    assert signatures.difficulty_correlation(confidence, np.array([0.3, 0.2, 0.1])) == -1.0
    assert signatures.difficulty_correlation(confidence, np.array([0.2, 0.2, 0.2])) == 0.0


def test_mutual_information_is_one_bit_for_a_gate_that_tells_two_classes_apart():
    labels = np.array([0, 0, 1, 1])
    telling, silent = [1, 1, 0, 0], [1, 0, 1, 0]
    choices = np.array([telling, silent], "float32").T
    assert signatures.mutual_information(choices, labels) == pytest.approx(0.5)
    assert signatures.mutual_information(np.ones((4, 1), "float32"), labels) == 0.0


def test_usage_of_experts_that_all_work_alike_has_entropy_one_and_no_variation():
    alike = np.array([[1, 0], [0, 1]])
    assert signatures.usage_entropy(alike) == pytest.approx(1.0)
    assert signatures.usage_variation(alike) == 0.0


def test_usage_of_one_expert_that_does_it_all_has_entropy_zero():
    one = np.array([[1, 0], [1, 0]])
    assert signatures.usage_entropy(one) == 0.0
    # Use 1 and 0: standard deviation 1/2 over mean 1/2.
    assert signatures.usage_variation(one) == 1.0
    assert signatures.usage_entropy(np.zeros((2, 2))) == 0.0
    assert signatures.usage_variation(np.zeros((2, 2))) == 0.0


def test_flip_rate_counts_decisions_that_differ():
    assert signatures.flip_rate(np.array([[1, 0], [1, 1]]), np.array([[1, 1], [1, 1]])) == 0.25


def test_macro_f1_counts_each_class_alike():
    labels, predictions = np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])
    # F1 of class 0 is 6/7 and of class 1 is 0; class 2 is nowhere.
    assert macro_f1(labels, predictions, classes=3) == pytest.approx(3 / 7)


def test_varying_counts_what_is_neither_always_nor_never_used():
    # Used for 1, 0, 1/2 and 1/32 of the samples: the last one too seldom.
    choices = np.zeros((32, 4))
    choices[:, 0] = 1
    choices[:16, 2] = 1
    choices[0, 3] = 1
    assert signatures.varying(choices) == 0.25
