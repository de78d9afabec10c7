import copy
import pickle

import keras
import numpy as np
import pytest
from keras import ops

import keras_dynamicgate as kdg
from keras_dynamicgate.gating.budget import BudgetController, BudgetPlan
from keras_dynamicgate.gating.gate import Gate

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(256, 64)).astype("float32")
Y = (X[:, :8].sum(axis=1) > 0).astype("int32")


def gated_model(**arguments):
    model = keras.Sequential(
        [
            keras.Input((64,)),
            kdg.DynamicGate(seed=1),
            kdg.DynamicGateDense(64, "relu", seed=2, **arguments),
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    falling = keras.optimizers.schedules.CosineDecay(5e-3, 16 * 30)
    model.compile(keras.optimizers.Adam(falling), loss)
    return model


def fit(model, *callbacks, epochs=30, **arguments):
    return model.fit(
        X, Y, batch_size=16, epochs=epochs, verbose=0, callbacks=list(callbacks), **arguments
    )


def stream(samples):
    """Batches of 16 samples, of which nobody knows how many will come."""
    import tensorflow as tf

    signature = (tf.TensorSpec((64,)), tf.TensorSpec((), tf.int32))
    return tf.data.Dataset.from_generator(
        lambda: zip(X[:samples], Y[:samples], strict=True), output_signature=signature
    ).batch(16)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model that was trained for .3 of its MACs, and its file."""
    keras.utils.set_random_seed(0)
    model = gated_model()
    fit(model, kdg.MacBudget(0.3))
    path = tmp_path_factory.mktemp("trained") / "model.keras"
    model.save(path)
    return model, path


def compiled_again(path, learning_rate):
    model = keras.saving.load_model(path)
    model.compile(keras.optimizers.Adam(learning_rate), model.loss)
    return model


@pytest.mark.parametrize("target", [0.5, 0.2])
def test_model_ends_at_its_budget_with_its_gate_networks_counted(target):
    model = gated_model()
    fit(model, kdg.MacBudget(target))
    report = kdg.count_macs(model, X)
    assert report.relative == pytest.approx(target, abs=0.03)
    assert report.gates > 0


@pytest.mark.filterwarnings("ignore:The training ended at")
def test_budget_steers_by_the_gate_networks_too():
    model = keras.Sequential([keras.Input((64,)), kdg.DynamicGateDense(64), keras.layers.Dense(2)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    gate = model.layers[0].gate
    measured = []

    def measure(epoch, logs):
        averages = ({gate: ops.full((32,), share)} for share in (0.0, 1.0))
        measured.extend(value(gate.budget.relative_macs(each)) for each in averages)

    look = keras.callbacks.LambdaCallback(on_epoch_begin=measure)
    fit(model, kdg.MacBudget(0.5), look, epochs=1)
    # A network of rank 1 from 64 inputs to 32 gates runs even with all of them closed.
    dense, of_gate = 64 * 64 + 64 * 2, 64 + 32
    assert measured == pytest.approx([of_gate / dense, 1 + of_gate / dense])


@pytest.mark.filterwarnings("ignore:The gates of layer")
def test_budget_holds_through_a_second_training(trained):
    model = compiled_again(trained[1], 1e-3)
    history = fit(model, kdg.GateSummary(X, verbose=0), kdg.MacBudget(0.3), epochs=5).history
    assert max(history["relative_macs"]) < 0.36


def test_second_training_may_have_another_budget(trained):
    model = compiled_again(trained[1], 3e-3)
    fit(model, kdg.MacBudget(0.6))
    assert kdg.count_macs(model, X).relative == pytest.approx(0.6, abs=0.03)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_training_of_unknown_length_meets_the_budget_too():
    model = gated_model()
    callbacks = [kdg.MacBudget(0.3)]
    model.fit(stream(256), epochs=30, shuffle=False, verbose=0, callbacks=callbacks)
    assert callbacks[0].params["steps"] is None
    assert kdg.count_macs(model, X).relative == pytest.approx(0.3, abs=0.03)


def test_state_of_the_budget_is_saved_with_the_model(trained):
    model, path = trained
    loaded = keras.saving.load_model(path)
    for old, new in zip(model.layers[:2], loaded.layers[:2], strict=True):
        assert float(old.gate.price) == float(new.gate.price) != 0.0
        assert float(new.gate.budget_state[0]) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.filterwarnings("ignore:The training ended at")
def test_interrupted_training_resumes_as_if_it_had_not_stopped(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                raise InterruptedError

    def train(*callbacks):
        # The same order of samples and no noise, so that both trainings can be compared.
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((64,)),
                kdg.DynamicGateDense(64, "relu", estimator="threshold"),
                keras.layers.Dense(2),
            ]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(3e-3), loss)
        fit(model, kdg.MacBudget(0.4), *callbacks, epochs=6, shuffle=False)
        return model

    whole = train()
    backup = tmp_path / "backup"
    with pytest.raises(InterruptedError):
        train(keras.callbacks.BackupAndRestore(backup), Stop())
    resumed = train(keras.callbacks.BackupAndRestore(backup))
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The training ended at", "ignore:Your input ran out of data")
def test_interrupted_training_of_unknown_length_goes_on_where_it_was(tmp_path):
    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.seen = {}

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == stop:
                raise InterruptedError
            budget = self.model.layers[0].gate.budget_state
            self.seen[epoch] = round(float(ops.convert_to_numpy(budget)[0]), 3)

    def train(look):
        model = keras.Sequential([keras.Input((64,)), kdg.DynamicGate(), keras.layers.Dense(2)])
        model.compile("sgd", "sparse_categorical_crossentropy")
        callbacks = [keras.callbacks.BackupAndRestore(tmp_path / "backup"), kdg.MacBudget(0.5)]
        fit = {"epochs": 10, "shuffle": False, "verbose": 0}
        model.fit(stream(32), callbacks=[*callbacks, look], **fit)

    stop = 7
    look = Look()
    with pytest.raises(InterruptedError):
        train(look)
    assert look.seen == {epoch: epoch / 10 for epoch in range(7)}
    stop = None
    train(look)
    assert look.seen == {7: 0.7, 8: 0.8, 9: 0.9}


@pytest.mark.filterwarnings("ignore:The training ended at")
def test_training_leaves_no_controller_behind():
    model = gated_model()
    fit(model, kdg.MacBudget(0.5), epochs=2)
    price = float(model.layers[0].gate.price)
    fit(model, epochs=1)
    assert model.layers[0].gate.budget is None
    assert float(model.layers[0].gate.price) == price


def controller(open_ratio, progress, **arguments):
    """A controller of one gate that controls all MACs of its model."""
    gate = Gate("static", 2)
    gate.build((None, 3))
    gate.open_ratio.assign([open_ratio, open_ratio])
    gate.usage.assign([open_ratio, open_ratio])
    settings = {"target": 0.5, "start": 1.0, "warmup": 0.1, "ramp": 0.4, "progress_per_step": 0.0}
    budget = BudgetController([gate], lambda averages: ops.mean(averages[gate], axis=-1))
    budget.set_plan(BudgetPlan(**{**settings, **arguments}))
    budget.set_progress(progress)
    return gate, budget


def value(tensor):
    return float(ops.convert_to_numpy(tensor))


@pytest.mark.parametrize(
    ("progress", "allowed"), [(0.0, 1.0), (0.1, 1.0), (0.3, 0.75), (0.5, 0.5), (1.0, 0.5)]
)
def test_allowance_falls_in_a_line_after_the_warm_up(progress, allowed):
    plan = BudgetPlan(target=0.5, start=1.0, warmup=0.1, ramp=0.4, progress_per_step=0.0)
    assert value(plan.allowance(progress)) == pytest.approx(allowed)


def test_nothing_is_charged_in_the_warm_up():
    gate, budget = controller(1.0, 0.05)
    budget.step(gate)
    assert value(gate.price) == 0.0
    assert value(gate.pressure) == 0.0


def test_price_follows_the_logarithm_of_measured_over_allowed():
    gate, budget = controller(0.75, 0.5)
    budget.step(gate)
    # A proportional part of .2 and a first part of .002 of the integral, which follows drifts.
    assert value(gate.price) == pytest.approx(0.202 * np.log(0.75 / 0.5))
    assert value(gate.budget_state[2]) == pytest.approx(0.002 * np.log(0.75 / 0.5))
    # All MACs hang on this gate, so its pressure is the multiplier itself.
    assert value(gate.pressure) == pytest.approx(np.exp(0.3 * value(gate.price)))


@pytest.mark.parametrize(("progress", "rise"), [(0.05, 0.0), (0.5, 0.202 * np.log(1.5))])
def test_gates_that_join_keep_prices_of_their_own_and_rise_with_the_others(progress, rise):
    gates = [Gate("static", 2) for _ in range(3)]
    for gate, price in zip(gates, (5.0, 0.0, -1.0), strict=True):
        gate.build((None, 3))
        gate.price.assign(price)
        gate.open_ratio.assign([0.75, 0.75])
    gates[2].trainable = False
    budget = BudgetController(gates, lambda averages: ops.mean(averages[gates[0]], axis=-1))
    budget.set_plan(BudgetPlan(0.5, 1.0, warmup=0.1, ramp=0.4, progress_per_step=0.0))
    budget.set_progress(progress)
    budget.step(gates[0])
    assert [value(gate.price) for gate in gates] == pytest.approx([5.0 + rise, rise, -1.0])


def test_price_falls_where_less_runs_than_may():
    gate, budget = controller(0.25, 0.5)
    budget.step(gate)
    assert value(gate.price) == pytest.approx(0.202 * np.log(0.5))


def test_error_of_a_single_step_is_limited():
    gate, budget = controller(1.0, 0.5, target=0.01)
    budget.step(gate)
    assert value(gate.price) == pytest.approx(0.202)


def test_gain_falls_when_the_error_changes_its_sign_and_rises_while_it_does_not():
    gate, budget = controller(0.75, 0.5)
    gains = []
    for open_ratio in (0.75, 0.25, 0.75, 0.75):
        gate.open_ratio.assign([open_ratio, open_ratio])
        budget.step(gate)
        gains.append(value(gate.budget_state[1]))
    assert gains == pytest.approx([0.2, 0.19, 0.1805, 0.189525])


def test_drift_gathers_a_hundredth_of_what_the_gain_moves():
    gate, budget = controller(0.75, 0.5)
    gate.budget_state.assign([0.5, 0.1, 0.0, 0.0])
    budget.step(gate)
    # The gain rises to .105 first.
    assert value(gate.budget_state[2]) == pytest.approx(0.00105 * np.log(0.75 / 0.5))


@pytest.mark.parametrize(("progress", "noise"), [(0.3, 1.0), (0.55, 0.5), (0.9, 0.0)])
def test_noise_fades_before_the_end(progress, noise):
    gate, budget = controller(0.5, progress)
    budget.step(gate)
    assert value(gate.noise_scale) == pytest.approx(noise, abs=1e-6)


@pytest.fixture
def floatx(request):
    keras.config.set_floatx(request.param)
    keras.config.set_dtype_policy(request.param)
    yield
    keras.config.set_floatx("float32")


# JAX has float64 only where it is told to.
@pytest.mark.filterwarnings("ignore:The training ended at", "ignore:Explicitly requested dtype")
@pytest.mark.parametrize("floatx", ["float64", "float16", "bfloat16"], indirect=True)
def test_budget_is_steered_in_float32_whatever_the_precision_of_keras(floatx):
    model = gated_model(usage_regularizer="l1")
    fit(model, kdg.MacBudget(0.5), epochs=1)
    for layer in model.layers[:2]:
        assert layer.gate.price.dtype == "float32"
        assert np.isfinite(value(layer.gate.price))
        assert value(layer.gate.price) != 0.0


@pytest.mark.parametrize("target", [0.0, -0.1, 1.1, None, "0.3", float("nan")])
def test_budget_outside_its_range_is_refused(target):
    with pytest.raises(ValueError, match=r"`target` must be a number above 0 and at most 1"):
        kdg.MacBudget(target)


def test_schedule_that_does_not_fit_the_training_is_refused():
    with pytest.raises(ValueError, match=r"`warmup` must be a number"):
        kdg.MacBudget(0.3, warmup=1.0)
    with pytest.raises(ValueError, match=r"`ramp` must be a number from 0 to 1 - warmup = 0.75"):
        kdg.MacBudget(0.3, warmup=0.25, ramp=0.8)


def test_model_without_gates_is_refused_by_name():
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(2, name="head")])
    model.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"`MacBudget` needs a model with gated layers.*'head'"):
        fit(model, kdg.MacBudget(0.3))


def test_budget_below_what_cannot_be_closed_is_refused_before_training():
    # Half of the columns and of the next rows stay, and the gate network: 64 + 32.
    model = keras.Sequential(
        [keras.Input((64,)), kdg.DynamicGateDense(64, min_open=0.5), keras.layers.Dense(2)]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    share = (64 * 32 + 32 * 2 + 64 + 32) / (64 * 64 + 64 * 2)
    with pytest.raises(ValueError, match=rf"out of reach: .* at least {share:.3f} relative MACs"):
        fit(model, kdg.MacBudget(0.1))


def test_loss_that_is_not_finite_stops_with_the_layer_whose_gates_are_not():
    model = gated_model(name="broken")
    model.layers[1].gate.network.up_kernel.assign(np.full((1, 32), np.nan))
    with pytest.raises(FloatingPointError, match=r"gates of \[.*'broken'\] are not finite"):
        fit(model, kdg.MacBudget(0.5), epochs=1)


@pytest.mark.filterwarnings("ignore:The training ended at")
def test_frozen_gates_and_top_k_are_left_as_they_are():
    model = gated_model(top_k=16)
    fit(model, kdg.MacBudget(0.4), epochs=4)
    assert float(model.layers[1].gate.price) == 0.0
    assert float(model.layers[0].gate.price) != 0.0


def test_model_with_nothing_to_steer_is_refused():
    model = gated_model(top_k=16)
    model.layers[0].trainable = False
    with pytest.raises(ValueError, match=r"needs gates that it can steer"):
        fit(model, kdg.MacBudget(0.5))


def test_one_epoch_of_unknown_length_is_refused():
    with pytest.raises(ValueError, match=r"how long the training is.*`steps_per_epoch`"):
        gated_model().fit(stream(32), shuffle=False, verbose=0, callbacks=[kdg.MacBudget(0.5)])


def test_budget_that_is_missed_is_warned_about():
    with pytest.warns(UserWarning, match=r"ended at \d\.\d+ relative MACs, .* a budget of 0.2"):
        fit(gated_model(), kdg.MacBudget(0.2, warmup=0.9, ramp=0.1), epochs=1)


def test_last_batch_alone_does_not_make_a_budget_missed():
    model = keras.Sequential([keras.Input((64,)), kdg.DynamicGate(), keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    gate = model.layers[0].gate
    odd = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: gate.open_ratio.assign(np.ones(64))
    )
    fit(model, odd, kdg.MacBudget(0.5), epochs=15)  # warnings are errors


@pytest.mark.filterwarnings("ignore:The training ended at")
@pytest.mark.parametrize("how", ["copy", "deepcopy", "pickle"])
def test_copy_of_a_used_budget_is_a_budget_for_another_training(how):
    model = keras.Sequential([keras.Input((64,)), kdg.DynamicGate(), keras.layers.Dense(2)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    budget = kdg.MacBudget(0.5, warmup=0.25, ramp=0.125)
    fit(model, budget, epochs=1)
    again = pickle.loads(pickle.dumps(budget)) if how == "pickle" else getattr(copy, how)(budget)
    assert (again.target, again.warmup, again.ramp) == (0.5, 0.25, 0.125)
    assert again.model is None
    fit(model, again, epochs=1)


def test_second_budget_in_one_training_is_refused_and_leaves_no_controller():
    model = keras.Sequential([keras.Input((64,)), kdg.DynamicGate(), keras.layers.Dense(2)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"can have one `MacBudget`.* target=0.6"):
        fit(model, kdg.MacBudget(0.5), kdg.MacBudget(0.6), epochs=1)
    assert model.layers[0].gate.budget is None


@pytest.mark.filterwarnings("ignore:The training ended at")
def test_training_that_broke_off_does_not_stand_in_the_way_of_the_next():
    def stop(epoch, logs):
        raise InterruptedError

    model = keras.Sequential([keras.Input((64,)), kdg.DynamicGate(), keras.layers.Dense(2)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    callback = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    with pytest.raises(InterruptedError):
        fit(model, kdg.MacBudget(0.5), callback, epochs=2)
    fit(model, kdg.MacBudget(0.6), epochs=1)
    assert model.layers[0].gate.budget is None


class Idle(keras.layers.Layer):
    """A layer with a gated layer that it does not call."""

    def __init__(self):
        super().__init__()
        self.inner = kdg.DynamicGateDense(64, name="inner")

    def build(self, input_shape):
        self.inner.build(input_shape)

    def call(self, inputs):
        return keras.ops.relu(inputs)


def test_gates_that_are_not_seen_are_refused_by_name():
    model = keras.Sequential([keras.Input((64,)), Idle(), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"cannot count gated layers inside .*inner"):
        model.fit(np.zeros((4, 64)), np.zeros((4, 2)), verbose=0, callbacks=[kdg.MacBudget(0.5)])
