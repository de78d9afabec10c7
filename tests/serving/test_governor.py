"""The governor on an engine of its own kind: what it sets, says and refuses."""

import itertools
import threading
import warnings

import keras
import numpy as np
import pytest

import keras_dynamicgate as kdg
from keras_dynamicgate.gating.price_table import BUDGET, COLUMNS, PRICE
from keras_dynamicgate.layers.gated_layer import gated_layers

pytestmark = [
    pytest.mark.filterwarnings("ignore:The gate network of layer"),  # it is too small to pay
    pytest.mark.filterwarnings("ignore:Numba is not installed"),
]
X = np.random.default_rng(1).normal(size=(4, 8)).astype("float32")


class Clock:
    """A clock that stands until it is set."""

    now = 0.0

    def __call__(self):
        return self.now


class Engine:
    """Takes some seconds of a clock for a call, by its budget."""

    budgets = (0.1, 0.2, 0.4)
    budget = None

    def __init__(self, clock, seconds):
        self._clock = clock
        self._seconds = seconds

    def predict(self, x):
        if x is None:
            raise ValueError("no input")
        self._clock.now += self._seconds(self.budget)
        return x


def governed(seconds, **arguments):
    """Give a governor of an engine for which a function tells the seconds by the budget."""
    clock = Clock()
    engine = Engine(clock, seconds)
    return kdg.BudgetGovernor(engine, clock=clock, **arguments), engine, clock


def test_it_begins_at_the_largest_budget_that_the_model_was_trained_for():
    governor, engine, _ = governed(lambda budget: budget, latency=1.0)
    assert governor.budget == engine.budget == 0.4
    assert governor.state == "settling"
    assert governor.history == []


def test_range_bounds_the_budget():
    governor, engine, _ = governed(lambda budget: 9.0, latency=1.0, range=(0.15, 0.3))
    assert engine.budget == 0.3
    for _ in range(30):
        governor.predict(X)
    assert engine.budget == governor.budget == 0.15


def test_budget_goes_where_the_latency_is_held_and_stays_there():
    governor, engine, _ = governed(lambda budget: budget / 2, latency=0.15)
    budgets = []
    for _ in range(2000):
        governor.predict(X)
        budgets.append(engine.budget)
    # Up to .2 it takes .1 s, well below the target; the next rung, .238, takes .119 s.
    assert budgets[2] == pytest.approx(0.2)
    assert set(np.round(budgets[1000:], 3)) == {0.238}
    assert governor.state == "holding"


def test_state_says_when_there_is_nothing_to_save():
    governor, _, _ = governed(lambda budget: 0.1, latency=1.0)
    for _ in range(200):
        governor.predict(X)
    assert (governor.state, governor.budget) == ("at the largest", 0.4)


def test_target_that_no_budget_holds_warns_once_and_nothing_oscillates():
    governor, engine, clock = governed(lambda budget: 2.0, latency=1.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(1000):
            governor.predict(X)
    (warning,) = caught
    start = (
        "No budget from 0.1 to 0.4 holds a p99 latency of 1 s: at the smallest it is 2, with 0.5 "
    )
    assert str(warning.message).startswith(start)
    assert warning.filename == __file__
    assert (governor.state, engine.budget) == ("out of reach", 0.1)
    budgets = {moment.budget for moment in governor.history[5:]}
    assert budgets == {0.1}
    for _ in range(220):  # ten periods after the one that had begun
        clock.now += 0.1
        governor.observe(0.9)
    assert (governor.state, engine.budget) == ("holding", 0.1)


def test_server_with_a_queue_observes_from_arrival_to_answer():
    governor, engine, clock = governed(lambda budget: 0.0, latency=1.0)
    clock.now = 100.0
    for _ in range(3):
        governor.observe(1.5)
    assert engine.budget == pytest.approx(0.2)
    # These came before the budget moved, so that nothing is known of the new one.
    clock.now = 101.0
    for _ in range(50):
        governor.observe(1.5)
    assert engine.budget == pytest.approx(0.2)
    clock.now = 101.6
    for _ in range(3):
        governor.observe(1.5)
    assert engine.budget == 0.1


def test_length_of_a_queue_is_a_target_too():
    governor, engine, _ = governed(lambda budget: 0.0, queue_length=4)
    for length in (4, 4, 4, 5, 5):
        governor.observe(length)
    assert engine.budget == 0.4
    governor.observe(5)
    assert engine.budget == pytest.approx(0.2)


def test_with_a_queue_length_calls_that_run_are_counted():
    governor, engine, _ = governed(lambda budget: 0.0, queue_length=1)
    engine.predict = lambda x: x if x is X else governor.predict(X)  # one call inside another
    for _ in range(2):
        governor.predict(X[:1])
    assert engine.budget == 0.4
    governor.predict(X[:1])
    assert engine.budget == pytest.approx(0.2)


def test_call_that_fails_is_not_observed_and_does_not_run_on():
    governor, engine, _ = governed(lambda budget: 1 / 16, queue_length=1)
    for _ in range(100):
        with pytest.raises(ValueError, match="no input"):
            governor.predict(None)
        governor.predict(X)
    assert governor.history[0] == (1.25, 1.0, 16.0, 0.4)
    assert engine.budget == 0.4


def test_history_tells_time_p99_load_and_budget():
    governor, _, _ = governed(lambda budget: 0.03125, latency=1.0)
    for _ in range(70):
        governor.predict(X)
    assert governor.history == [(1.0, 0.03125, 32.0, 0.4), (2.0, 0.03125, 32.0, 0.4)]
    assert governor.history[0]._fields == ("time", "p99", "load", "budget")


def test_history_can_be_drawn():
    pytest.importorskip("matplotlib")
    governor, _, _ = governed(lambda budget: 0.03125, latency=1.0)
    assert governor.plot().axes  # nothing yet
    for _ in range(70):
        governor.predict(X)
    axes = governor.plot().axes
    assert [list(each.lines[0].get_ydata()) for each in axes] == [
        [32.0, 32.0],
        [0.03125, 0.03125],
        [0.4, 0.4],
    ]
    assert axes[1].get_ylabel() == "p99 of latency, seconds"


TRAINED = {0.8: -1.5, 0.5: -0.5, 0.1: 1.5}


def elastic(prices):
    """Make a model of random weights whose gates have a price for each budget."""
    gated = kdg.DynamicGateDense(16, "relu", block_size=4, gate="linear")
    model = keras.Sequential([keras.Input((8,)), gated, keras.layers.Dense(3)])
    for layer in gated_layers(model):
        rows = np.zeros((len(prices), COLUMNS))
        rows[:, BUDGET], rows[:, PRICE] = list(prices), list(prices.values())
        layer.gate.price_table.set_rows(rows)
        layer.gate.network.kernel.assign(np.random.default_rng(0).normal(size=(8, 4)))
    return model


@pytest.fixture(scope="module")
def engine():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kdg.InferenceEngine(elastic(TRAINED), threads=1)


@pytest.mark.filterwarnings("ignore:No budget from 0.1 to 0.8 holds")
def test_each_answer_of_many_threads_is_the_engines_at_one_of_the_budgets_used(engine):
    ticks = itertools.count()
    governor = kdg.BudgetGovernor(engine, latency=1.0, clock=lambda: next(ticks) / 64)
    answers, used = [], set()

    def serve():
        for turn in range(1500):
            answers.append(governor.predict(X))
            governor.observe(2.0 if turn % 500 >= 480 else 0.0)
            used.add(governor.budget)

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6000
    assert len(used) > 2
    right = {engine.predict(X, budget=budget).tobytes() for budget in governor._budgets}
    assert len(right) > 2
    assert {answer.tobytes() for answer in answers} <= right


def test_observations_of_many_threads_all_count():
    governor, engine, _ = governed(lambda budget: 0.0, queue_length=1)

    def serve():
        for _ in range(500):
            governor.observe(0)

    threads = [threading.Thread(target=serve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(governor._history._values) == 4000


@pytest.mark.parametrize("arguments", [{}, {"latency": 0.1, "queue_length": 3}])
def test_exactly_one_target_has_to_be_given(engine, arguments):
    with pytest.raises(ValueError, match="Exactly one of the arguments `latency` and `queue_len"):
        kdg.BudgetGovernor(engine, **arguments)


@pytest.mark.parametrize("name", ["latency", "queue_length"])
@pytest.mark.parametrize("target", [0, -0.1, float("nan"), "5 ms"])
def test_target_has_to_be_above_zero(engine, name, target):
    with pytest.raises(ValueError, match=rf"`{name}` must be a number above 0\. Received: {name}="):
        kdg.BudgetGovernor(engine, **{name: target})


@pytest.mark.parametrize(
    "range", [(0.5, 0.1), (0.3, 0.3), (0.05, 0.5), (0.1, 0.9), 0.3, ("0.1", "0.5"), (0.1, 0.3, 0.5)]
)
def test_range_has_to_be_in_order_and_within_what_the_model_was_trained_for(engine, range):
    engine.budget = None
    message = r"`range` must be a tuple \(smallest, largest\) of numbers from 0.1 to 0.8, the budge"
    with pytest.raises(ValueError, match=message):
        kdg.BudgetGovernor(engine, latency=0.1, range=range)
    assert engine.budget is None


def test_single_precision_is_in_range(engine):
    governor = kdg.BudgetGovernor(engine, 0.1, (np.float32(0.1), np.float32(0.8)))
    assert governor.budget == pytest.approx(0.8)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_observation_has_to_be_a_number(engine, value):
    governor = kdg.BudgetGovernor(engine, latency=0.1)
    with pytest.raises(ValueError, match="`value` must be a finite number of at least 0"):
        governor.observe(value)


def test_engine_of_a_model_for_one_budget_is_refused():
    with pytest.raises(ValueError, match=r"`engine` must be of a model .* `MacBudget\(\(0.05"):
        kdg.BudgetGovernor(kdg.InferenceEngine(elastic({}), threads=1), latency=0.1)
