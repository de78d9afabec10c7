"""A learner that learns and saves in a loop, killed at random moments.

The file does not depend on the backend, so one is enough: PyTorch, whose processes can be forked,
which is what makes so many of them quick.
"""

import multiprocessing
import signal
import time

import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg
from keras_dynamicgate.plasticity import MaskedUpdate, OnlineLearner

pytestmark = [
    pytest.mark.one_backend("torch"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

KILLS = 10
LONGEST = 0.4  # seconds; a step with its file takes about 0.1 on two cores
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(4, 8, 4)).astype("float32")
Y = RANDOM.integers(0, 2, size=(4, 8))


def new_learner():
    keras.utils.set_random_seed(0)
    gated = kdg.DynamicGateDense(16, "relu", gate="linear", block_size=4)
    model = keras.Sequential([keras.Input((4,)), gated, keras.layers.Dense(2, "softmax")])
    optimizer = MaskedUpdate(keras.optimizers.Adam(0.01))
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return OnlineLearner(model, "all", memory=16, memory_kind="reservoir", replay=4, keep=2)


def learn(learner):
    """Learn what comes after the version that answers."""
    batch = learner.version % len(X)
    assert learner.learn(X[batch], Y[batch]).published


def learn_and_save(learner, path):
    while True:
        learn(learner)
        learner.save(path)


def wait_for_another(file, path):
    """Wait until another file than `file`, its number in the file system, is at `path`."""
    deadline = time.monotonic() + 60.0
    while path.stat().st_ino == file and time.monotonic() < deadline:
        time.sleep(0.001)
    assert path.stat().st_ino != file


def test_a_learner_that_is_killed_goes_on_from_a_whole_version_each_time(tmp_path):
    path = tmp_path / "learner.zip"
    learner, undisturbed = new_learner(), new_learner()
    learner.save(path)
    answers = {0: undisturbed.predict(X[0])}
    fork = multiprocessing.get_context("fork")
    for kill, moment in enumerate(np.random.default_rng(1).uniform(0.0, LONGEST, KILLS)):
        file = path.stat().st_ino
        process = fork.Process(target=learn_and_save, args=(learner, path))
        process.start()
        # However slow the machine, half of them are killed after a file that they wrote.
        if kill % 2:
            wait_for_another(file, path)
        time.sleep(moment)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        learner = OnlineLearner.load(path)
        while undisturbed.version < learner.version:
            learn(undisturbed)
            answers[undisturbed.version] = undisturbed.predict(X[0])
        for version in learner.versions:
            learner.rollback(version)
            np.testing.assert_array_equal(learner.predict(X[0]), answers[version])
    assert undisturbed.version >= KILLS // 2
