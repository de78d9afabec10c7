import keras
import numpy as np
import pytest
from keras import ops

import keras_dynamicgate as kdg
from keras_dynamicgate.callbacks.range_training import budgets_in
from keras_dynamicgate.gating.budget import BudgetPlan
from keras_dynamicgate.gating.budget_range import RangeController, drawn_share
from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.price_table import BUDGET, DRIFT, GAIN, PRESSURE, PRICE, TREND

X = np.random.default_rng(0).normal(size=(256, 64)).astype("float32")
Y = (X[:, :8].sum(axis=1) > 0).astype("int32")
TARGETS = [0.5, 0.3, 0.2]


def gated_model(seed=1):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            kdg.DynamicGate(seed=1),
            kdg.DynamicGateDense(64, "relu", seed=2),
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, 640)), loss)
    return model


def fit(model, *callbacks, epochs=40, **arguments):
    arguments = {"batch_size": 16, "epochs": epochs, "verbose": 0, **arguments}
    return model.fit(X, Y, callbacks=list(callbacks), **arguments)


def gates(model):
    return [layer.gate for layer in model.layers if hasattr(layer, "gate")]


def relative(model):
    return kdg.count_macs(model, X).relative


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model that was trained for all `TARGETS`, and its file."""
    model = gated_model()
    fit(model, kdg.MacBudget(TARGETS))
    path = tmp_path_factory.mktemp("trained") / "model.keras"
    model.save(path)
    return model, path


def test_one_training_makes_a_model_for_each_budget_also_in_its_file(trained):
    model, path = trained
    assert relative(model) == pytest.approx(0.5, abs=0.03)
    loaded = keras.saving.load_model(path)
    assert kdg.budgets(loaded) == (0.2, 0.3, 0.5)
    for target in TARGETS:
        kdg.set_budget(loaded, target)
        assert relative(loaded) == pytest.approx(target, abs=0.03)
    assert loaded.evaluate(X, Y, verbose=0) < 0.5  # also at the smallest


@pytest.mark.filterwarnings("ignore:The training ended at")
def test_training_for_one_number_leaves_the_file_as_it_was_and_forgets_a_range(tmp_path):
    model = gated_model()
    fit(model, kdg.MacBudget((0.3, 0.6)), epochs=1)
    assert kdg.budgets(model) == (0.3, 0.6)
    fit(model, kdg.MacBudget(0.5), epochs=1)
    assert kdg.budgets(model) == ()
    model.save_weights(tmp_path / "one.weights.h5")
    import h5py

    with h5py.File(tmp_path / "one.weights.h5") as file:
        names = []
        file.visit(names.append)
    assert not [name for name in names if name.endswith("rows")]
    fit(model, kdg.MacBudget((0.3, 0.6)), epochs=1)
    model.load_weights(tmp_path / "one.weights.h5")
    assert kdg.budgets(model) == ()


@pytest.mark.filterwarnings("ignore:The training ended at")
def test_interrupted_training_resumes_as_if_it_had_not_stopped(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                raise InterruptedError

    def train(*callbacks):
        keras.utils.set_random_seed(0)
        layer = kdg.DynamicGateDense(64, "relu", estimator="threshold")
        model = keras.Sequential([keras.Input((64,)), layer, keras.layers.Dense(2)])
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        fit(model, *callbacks, epochs=6, shuffle=False)
        return model

    whole = train(kdg.MacBudget(TARGETS))
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(InterruptedError):
        train(kdg.MacBudget(TARGETS), backup, Stop())
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    resumed = train(backup, kdg.MacBudget(TARGETS))
    assert float(gates(whole)[0].price) != 0.0
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The training ended at")
def test_second_training_for_the_same_budgets_does_not_open_the_gates_again(trained):
    model = keras.saving.load_model(trained[1])
    model.compile(keras.optimizers.Adam(1e-4), model.loss)
    fit(model, kdg.MacBudget(TARGETS), epochs=1)
    for target in TARGETS:
        kdg.set_budget(model, target)
        assert relative(model) == pytest.approx(target, abs=0.06)


@pytest.mark.filterwarnings("ignore:The training ended at")
def test_validation_during_the_training_sees_the_largest_budget():
    model, seen = gated_model(), []

    def look(epoch, logs):
        gate = gates(model)[1]
        seen.append([float(gate.price), float(gate.price_table.rows()[0, PRICE])])

    looking = keras.callbacks.LambdaCallback(on_epoch_end=look)
    fit(model, looking, kdg.MacBudget([0.8, 0.2]))
    assert all(price == of_largest for price, of_largest in seen)
    assert len({price for price, _ in seen}) > 10


def test_budgets_that_are_missed_are_warned_about_together():
    with pytest.warns(UserWarning, match=r"ended at 1\.\d+ and 1\.\d+ .* of 0.3 and of 0.2\. "):
        fit(gated_model(), kdg.MacBudget([0.3, 0.2], warmup=0.9, ramp=0.1), epochs=1)


def controller(open_ratio, drawn, calls=1, place=0.0, budgets=(0.5, 0.25)):
    """A controller of one gate that controls all MACs of its model, at half of a training."""
    gate = Gate("static", 2)
    gate.build((None, 3))
    gate.open_ratio.assign([open_ratio, open_ratio])
    gate.usage.assign([open_ratio, open_ratio])
    # Budget, price, pressure, gain, drift, trend.
    gate.price_table.set_rows([[each, 1.0, 0.0, 0.1, 0.0, 0.0] for each in budgets])
    budget = RangeController([gate], lambda averages: ops.mean(averages[gate], axis=-1), calls)
    budget.set_plan(BudgetPlan(0.25, 1.0, warmup=0.1, ramp=0.4, progress_per_step=0.0))
    gate.budget_state.assign([0.5, place, drawn, 0.0])
    return gate, budget


def value(tensor):
    return float(ops.convert_to_numpy(tensor))


def test_step_moves_the_price_of_the_budget_it_was_for_alone():
    gate, budget = controller(0.75, drawn=1)
    budget.step(gate)
    first, second = gate.price_table.rows()
    np.testing.assert_allclose(first, [0.5, 1.0, 0.0, 0.1, 0.0, 0.0], atol=1e-6)
    # The gain rises to .105. The error is log(.75 / .25), cut off at 1. The smaller of two budgets
    # is drawn in 3 of 4 steps, so 4 / 3 steps have gone by since the error before.
    trend = 1.0 - 0.9 ** (4 / 3)
    assert second[[BUDGET, GAIN, TREND]] == pytest.approx([0.25, 0.105, trend])
    assert second[DRIFT] == pytest.approx(0.00105)
    assert second[PRICE] == pytest.approx(1.0 + 0.105 + 0.00105)
    assert second[PRESSURE] == pytest.approx(np.exp(0.3 * second[PRICE]))
    assert value(gate.price) == 1.0  # of the largest


def test_each_budget_has_an_allowance_of_its_own():
    gate, budget = controller(0.5, drawn=0)
    budget.step(gate)
    np.testing.assert_allclose(gate.price_table.rows()[:, PRICE], [1.0, 1.0])
    gate.budget_state.assign([0.5, 0.0, 1.0, 0.0])
    budget.step(gate)
    rise = 0.105 * np.log(2.0) * 1.01
    np.testing.assert_allclose(gate.price_table.rows()[:, PRICE], [1.0, 1.0 + rise], rtol=1e-6)


def test_smallest_budget_is_drawn_three_times_as_often_as_each_other():
    gate, budget = controller(0.5, drawn=0, budgets=(0.5, 0.4, 0.3))
    drawn = []
    for _ in range(50):
        budget.step(gate)
        drawn.append(int(value(gate.budget_state[2])))
    assert np.bincount(drawn).tolist() == pytest.approx([10, 10, 30], abs=1)
    assert [drawn_share(number, 3) for number in range(3)] == pytest.approx([0.2, 0.2, 0.6])


def test_layer_that_is_called_twice_is_trained_for_one_budget_in_both_calls():
    gate, budget = controller(0.75, drawn=0, calls=2, place=0.5)
    budget.step(gate)
    assert value(gate.budget_state[2]) == 0.0
    np.testing.assert_allclose(gate.price_table.rows()[:, PRICE], [1.0, 1.0])
    budget.step(gate)
    assert gate.price_table.rows()[0, PRICE] > 1.0


def test_gate_is_trained_at_the_price_of_the_budget_that_is_drawn():
    gate, budget = controller(0.5, drawn=1)
    gate.price_table.set_rows([[0.5, 1.0, 0, 0.1, 0, 0], [0.25, 3.0, 0, 0.1, 0, 0]])
    assert value(budget.price(gate)) == 3.0
    frozen = Gate("static", 2)
    frozen.build((None, 3))
    assert value(budget.price(frozen)) == 0.0


@pytest.mark.parametrize(
    ("target", "budgets"),
    [
        ((0.25, 0.5), [0.5, 0.25]),
        ((0.125, 0.5), [0.5, 0.25, 0.125]),
        ((0.2, 0.5), [0.5, 0.1**0.5, 0.2]),
        ([0.05, 0.5], [0.5, 0.05]),
        ([0.15, 0.5, 0.3], [0.5, 0.3, 0.15]),
    ],
)
def test_range_is_filled_in_steps_of_at_most_two_and_a_list_taken_as_it_is(target, budgets):
    assert budgets_in(target) == pytest.approx(budgets)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ((0.5, 0.05), r"tuple `\(smallest, largest\)`"),
        ((0.5, 0.3, 0.1), r"tuple `\(smallest, largest\)`"),
        ((0.3, 0.3), r"tuple `\(smallest, largest\)`"),
        ((0.000001, 0.5), r"range of up to 16 budgets"),
        ([0.3], r"list of 2 to 16 different budgets"),
        ([0.3, 0.3], r"list of 2 to 16 different budgets"),
        ([0.3, 1.2], r"number above 0 and at most 1\. Received: target=1.2"),
        ((0.3, "0.5"), r"number above 0 and at most 1"),
    ],
)
def test_budgets_that_make_no_range_are_refused(target, message):
    with pytest.raises(ValueError, match=message):
        kdg.MacBudget(target)


def test_balanced_gates_are_trained_for_one_budget():
    layer = kdg.DynamicGateDense(64, balance=0.1, name="hidden")
    model = keras.Sequential([keras.Input((64,)), layer, keras.layers.Dense(2)])
    model.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="one number where gates have a `balance`.* in hidden"):
        fit(model, kdg.MacBudget((0.3, 0.6)), epochs=1)


def test_range_whose_smallest_is_out_of_reach_is_refused_with_what_is_in_reach():
    layer = kdg.DynamicGateDense(64, min_open=0.5)
    model = keras.Sequential([keras.Input((64,)), layer, keras.layers.Dense(2)])
    model.compile("adam", "sparse_categorical_crossentropy")
    share = (64 * 32 + 32 * 2 + 64 + 32) / (64 * 64 + 64 * 2)
    with pytest.raises(ValueError, match=rf"out of reach: .* at least {share:.3f} .*target=0.1"):
        fit(model, kdg.MacBudget([0.9, 0.1]))
