import threading

import keras
import numpy as np
import pytest
from plasticity.small_models import DRIFTED, REFERENCE, TARGETS, numpy, set_gate, two_gated_layers

import keras_dynamicgate as kdg
from keras_dynamicgate.plasticity import MaskedUpdate, OnlineLearner, snapshot
from keras_dynamicgate.plasticity.opening import require_graph


def model():
    """A model that the engine does not run."""
    built = two_gated_layers()
    built.compile(MaskedUpdate(keras.optimizers.Adam(0.01)), "mse")
    return built


def noisy():
    """A dense model with momentum and noise."""
    # Without a seed, Keras draws from the process's own numbers on PyTorch.
    noise = keras.layers.Dropout(0.5, seed=0)
    layers = [keras.layers.Dense(8), noise, keras.layers.Dense(2)]
    built = keras.Sequential([keras.Input((4,)), *layers])
    built.compile(MaskedUpdate(keras.optimizers.SGD(0.1, momentum=0.9)), "mse")
    return built


def classifier():
    """A model that the engine runs, of 2 classes."""
    first = kdg.DynamicGateDense(32, "relu", gate="linear", block_size=8, name="first")
    built = keras.Sequential([keras.Input((4,)), first, keras.layers.Dense(2, "softmax")])
    set_gate(first, [1, 1, 0, 0])
    built.compile(MaskedUpdate(keras.optimizers.SGD(0.1)), "sparse_categorical_crossentropy")
    return built


LABELS = np.array([0, 1] * 4)


def test_versions_answer_as_the_model_did_when_they_were_published():
    given = model()
    learner = OnlineLearner(given, "all")
    before = learner.predict(DRIFTED)
    np.testing.assert_allclose(before, numpy(given(DRIFTED)), atol=1e-6)
    learned = learner.learn(DRIFTED, TARGETS)
    assert (learned.version, learned.published, learned.reason) == (1, True, None)
    after, version = learner.predict(DRIFTED, return_version=True)
    assert version == 1
    assert not np.array_equal(before, after)


@pytest.mark.parametrize("make", [model, classifier])
def test_inactive_leaves_the_answers_to_the_reference_as_they_were(make):
    targets = TARGETS if make is model else LABELS
    learner = OnlineLearner(make(), "inactive", REFERENCE)
    before, drifted = learner.predict(REFERENCE), learner.predict(DRIFTED)
    for _ in range(3):
        learner.learn(DRIFTED, targets)
    assert np.array_equal(before, learner.predict(REFERENCE))
    assert not np.array_equal(drifted, learner.predict(DRIFTED))


def test_the_model_that_is_given_stays_as_it_is():
    given = model()
    before = given.get_weights()
    OnlineLearner(given, "all").learn(DRIFTED, TARGETS)
    assert all(np.array_equal(*pair) for pair in zip(before, given.get_weights(), strict=True))


def test_a_loss_that_is_not_finite_is_not_published_and_does_no_harm():
    learner = OnlineLearner(model(), "all")
    before, copy = learner.predict(REFERENCE), snapshot.take(learner._copy.model)
    learned = learner.learn(DRIFTED, TARGETS * np.float32(1e30))
    assert (learned.published, learned.version) == (False, 0)
    assert "not finite" in learned.reason
    assert np.array_equal(before, learner.predict(REFERENCE))
    assert all(map(np.array_equal, copy, snapshot.take(learner._copy.model)))
    status = learner.status()
    assert (status["refused"], status["lag"], status["samples"]) == (1, 8, 8)
    assert learner.learn(DRIFTED, TARGETS).published
    assert learner.status()["lag"] == 0


def test_gates_that_flip_too_much_of_the_reference_are_not_published():
    learner = OnlineLearner(model(), "gates", REFERENCE)
    set_gate(learner._copy.model.get_layer("first"), [0, 0, 0, 0])  # 2 of 8 gates open
    learned = learner.learn(DRIFTED, TARGETS)
    assert (learned.published, learned.version) == (False, 0)
    assert learned.reason == "0.2500 of the masks of the reference flip, more than 0.02"
    assert learner.learn(DRIFTED, TARGETS).published  # it has gone back


def test_cost_outside_the_budget_is_not_published():
    learner = OnlineLearner(model(), "gates", REFERENCE, budget=0.1)
    assert "not within .02 of 0.100" in learner.learn(DRIFTED, TARGETS).reason


def test_both_opens_what_has_learned_once_the_memory_is_full():
    first = kdg.DynamicGateDense(32, "relu", gate="linear", block_size=8, name="first")
    given = keras.Sequential([keras.Input((4,)), first, keras.layers.Dense(2)])
    first.gate.network.scaled_bias.assign([-0.5, -0.5, 0.5, 0.5])  # the same for all inputs
    given.compile(MaskedUpdate(keras.optimizers.SGD(0.1)), "mse")
    learner = OnlineLearner(given, "both", REFERENCE, memory=16)
    old, drifted = learner.predict(REFERENCE), learner.predict(DRIFTED)
    assert learner.learn(DRIFTED, TARGETS).published
    assert np.array_equal(learner.predict(DRIFTED), drifted)
    assert learner.learn(DRIFTED, TARGETS).published
    opened = learner.predict(DRIFTED)
    assert np.square(opened - TARGETS).mean() < np.square(drifted - TARGETS).mean()
    assert np.array_equal(learner.predict(REFERENCE), old)


def test_both_needs_a_model_that_tells_what_its_layers_read():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = classifier()

        def call(self, inputs):
            return self.inner(inputs)

    own = Own()
    own(DRIFTED)
    own.compile(MaskedUpdate("sgd"), "mse")
    with pytest.raises(ValueError, match="must be a Sequential or Functional model"):
        require_graph(own)


def test_rollback_answers_from_an_earlier_version_and_goes_on_from_there():
    learner = OnlineLearner(model(), "all", keep=3)
    answers = [learner.predict(DRIFTED)]
    for _ in range(3):
        learner.learn(DRIFTED, TARGETS)
        answers.append(learner.predict(DRIFTED))
    assert learner.versions == [1, 2, 3]
    learner.rollback(1)
    assert np.array_equal(learner.predict(DRIFTED), answers[1])
    assert learner.learn(DRIFTED, TARGETS).version == 4
    with pytest.raises(ValueError, match=r"`version` must be one of .*\[2, 3, 4\].*version=0"):
        learner.rollback(0)


def test_rollback_goes_on_bitwise_as_if_the_later_versions_had_never_been(tmp_path):
    given = noisy()
    twice, once = OnlineLearner(given, "all"), OnlineLearner(given, "all")
    twice.learn(DRIFTED, TARGETS)
    twice.learn(DRIFTED, TARGETS[::-1])
    twice.save(tmp_path / "learner.zip")
    loaded = OnlineLearner.load(tmp_path / "learner.zip")
    once.learn(DRIFTED, TARGETS)
    for each in (twice, loaded):
        each.rollback(1)
    for each in (twice, loaded, once):
        each.learn(DRIFTED, 2.0 * TARGETS)
    after = [snapshot.take(each._copy.model) for each in (twice, loaded, once)]
    for values in zip(*after, strict=True):
        np.testing.assert_array_equal(values[0], values[2])
        np.testing.assert_array_equal(values[1], values[2])


def test_labels_may_come_later_by_key():
    given = model()
    learner = OnlineLearner(given, "inactive", REFERENCE, memory=8)
    learner.predict(DRIFTED, keys=list("abcdefgh"))
    assert learner.status()["pending"] == 8
    direct = OnlineLearner(given, "inactive", REFERENCE, memory=8)
    assert learner.learn(keys=["c", "a"], y=TARGETS[[2, 0]]).loss == pytest.approx(
        direct.learn(DRIFTED[[2, 0]], TARGETS[[2, 0]]).loss
    )
    assert learner.status()["pending"] == 6
    with pytest.raises(ValueError, match=r"keys of samples that wait.*Received: \['c'\]"):
        learner.learn(keys=["b", "c"], y=TARGETS[:2])
    learner.predict(DRIFTED, keys=list(range(8)))
    assert learner.status()["pending"] == 8


@pytest.mark.parametrize("mode", ["all", "both"])
def test_a_file_goes_on_exactly(mode, tmp_path):
    options = {"max_flips": 1.0, "memory": 6, "memory_kind": "reservoir", "replay": 2}
    learner = OnlineLearner(model(), mode, REFERENCE, **options)
    learner.learn(DRIFTED[:4], TARGETS[:4])
    learner.predict(DRIFTED[:2], keys=["a", 2])
    learner.save(tmp_path / "learner.zip")
    loaded = OnlineLearner.load(tmp_path / "learner.zip")
    assert loaded.status() == learner.status()
    assert np.array_equal(loaded.predict(DRIFTED), learner.predict(DRIFTED))
    for each in (learner, loaded):
        each.learn(keys=["a", 2], y=TARGETS[:2])  # and two that are remembered
    assert np.array_equal(loaded.predict(DRIFTED), learner.predict(DRIFTED))
    loaded.rollback(0)
    learner.rollback(0)
    assert np.array_equal(loaded.predict(DRIFTED), learner.predict(DRIFTED))


def test_answers_of_threads_are_of_one_whole_version_while_another_learns():
    learner = OnlineLearner(classifier(), "all", keep=30)
    found, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            found.append(learner.predict(DRIFTED, return_version=True))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        learner.learn(DRIFTED, LABELS)
    stop.set()
    for thread in threads:
        thread.join()
    right = {}
    for number in learner.versions:
        learner.rollback(number)
        right[number] = learner.predict(DRIFTED)
    assert len({number for _, number in found}) > 1
    assert all(np.array_equal(answers, right[number]) for answers, number in found)


def test_a_step_that_fails_leaves_the_learner_as_it_was():
    learner = OnlineLearner(noisy(), "all")
    before = snapshot.take(learner._copy.model)
    with pytest.raises(Exception, match="shape|size"):
        learner.learn(DRIFTED, np.zeros((8, 3), "float32"))
    assert all(map(np.array_equal, before, snapshot.take(learner._copy.model)))
    assert learner.status()["samples"] == 0
    assert learner.learn(DRIFTED, TARGETS).version == 1


def test_what_cannot_be_learned_can_be_told_before():
    learner = OnlineLearner(classifier(), "all", memory=8)
    learner.predict(DRIFTED[:2], keys=["a", "b"])
    x, y = learner.checked(keys=["b"], y=[1])
    np.testing.assert_array_equal(x, DRIFTED[1:2])
    with pytest.raises(ValueError, match="classes from 0 to 1"):
        learner.checked(keys=["b"], y=[2])
    learner.learn(x, y, keys=["b"])
    status = learner.status()
    assert (status["samples"], status["pending"]) == (1, 1)


def test_refusals_name_the_argument_and_lose_nothing(tmp_path):
    learner = OnlineLearner(classifier(), "inactive", REFERENCE)
    with pytest.raises(ValueError, match="classes from 0 to 1.*Received: labels from 1 to 2"):
        learner.learn(DRIFTED, LABELS + 1)
    assert learner.status()["samples"] == 0
    for arguments, match in [
        ({"mode": "gates"}, '`reference` is needed by mode "gates"'),
        ({"mode": "all", "memory_kind": "all"}, "`memory_kind` must be one of"),
        ({"mode": "all", "replay": 0.5}, "`replay` must be a positive integer"),
        ({"mode": "all", "keep": 0}, "`keep` must be a positive integer"),
    ]:
        with pytest.raises(ValueError, match=match):
            OnlineLearner(classifier(), **arguments)
    (tmp_path / "other").write_text("no archive")
    with pytest.raises(ValueError, match=r"file that `OnlineLearner\.save` wrote"):
        OnlineLearner.load(tmp_path / "other")


@pytest.mark.parametrize("mode", ["gates", "inactive", "both"])
def test_a_reference_that_no_answer_can_be_kept_for_is_refused(mode):
    for reference, match in [
        (REFERENCE[:0], "`reference` must hold at least one sample"),
        (REFERENCE[:, :3], r"`reference` must hold samples of shape \(4,\)"),
        (REFERENCE * np.nan, "`reference` must hold numbers.*NaN"),
    ]:
        with pytest.raises(ValueError, match=match):
            OnlineLearner(classifier(), mode, reference)
