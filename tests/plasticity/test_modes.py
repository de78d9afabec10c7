"""Which weights each mode lets learn, and what it refuses."""

import keras
import numpy as np
import pytest
from keras import layers
from plasticity.small_models import DRIFTED, REFERENCE, TARGETS, numpy, set_gate, two_gated_layers

import keras_dynamicgate as kdg
from keras_dynamicgate.plasticity import MaskedUpdate, inactive_units, set_update_mode


def learn(model, mode, reference=None, **options):
    """Set a mode and give, by path, which numbers among the weights learn."""
    if not model.compiled:
        model.compile(MaskedUpdate("sgd"), "mse")
    set_update_mode(model, mode, reference, **options)
    pairs = zip(model.optimizer.trained_variables, model.optimizer.masks, strict=True)
    return {w.path.removeprefix(f"{model.name}/"): numpy(mask) > 0 for w, mask in pairs}


def open_of(masks):
    return sorted(path for path, mask in masks.items() if mask.any())


def after_a_gate(*following, gate="linear", activation="relu", **options):
    """A layer of 8 units in 4 blocks of which the reference leaves the first two closed."""
    options = {"block_size": 2, "name": "first", **options}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_dynamicgate.layers.gated_layer.WARN_SHARE", 1.0)
        first = kdg.DynamicGateDense(8, activation, gate=gate, **options)
        model = keras.Sequential([keras.Input((4,)), first, *following])
    if gate == "linear":
        set_gate(first, [1, 1, 0, 0])
    else:
        first.gate.network.scaled_bias.assign([-1.0, -1.0, 1.0, 1.0])
    return model


FIRST_FOUR = np.arange(8) < 4


def test_inactive_units_are_those_that_no_reference_opens():
    model = two_gated_layers()
    assert {k.split("/")[-1]: v.tolist() for k, v in inactive_units(model, REFERENCE).items()} == {
        "first": [True, True, False, False],
        "block": [True, False, False, False],
    }


def test_with_tau_units_count_that_are_seldom_open():
    model = two_gated_layers()
    some = np.concatenate([REFERENCE, DRIFTED[:2]])  # open for 2 of 8
    assert not inactive_units(model, some)["first"].any()
    assert inactive_units(model, some, 0.25)["first"].tolist() == [True, True, False, False]


def test_inactive_lets_column_bias_and_row_of_closed_units_learn():
    masks = learn(after_a_gate(layers.Dropout(0.5), layers.Dense(3)), "inactive", REFERENCE)
    assert open_of(masks) == ["dense/kernel", "first/bias", "first/kernel"]
    assert (masks["first/kernel"] == FIRST_FOUR).all()
    assert (masks["first/bias"] == FIRST_FOUR).all()
    assert (masks["dense/kernel"] == FIRST_FOUR[:, None]).all()


def test_both_lets_gates_learn_as_well():
    masks = learn(after_a_gate(layers.Dense(3)), "both", REFERENCE)
    assert open_of(masks) == [
        "dense/kernel",
        "first/bias",
        "first/gate/linear_gate/kernel",
        "first/gate/linear_gate/scaled_bias",
        "first/kernel",
    ]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("none", []),
        ("gates", ["first/gate/linear_gate/kernel", "first/gate/linear_gate/scaled_bias"]),
        ("head", ["dense/bias", "dense/kernel"]),
        ("biases", ["dense/bias", "first/bias"]),
    ],
)
def test_modes_name_whole_weights(mode, expected):
    masks = learn(after_a_gate(layers.Dense(3)), mode)
    assert open_of(masks) == expected
    assert all(mask.all() for mask in masks.values() if mask.any())


def test_all_lets_everything_learn():
    masks = learn(after_a_gate(layers.Dense(3)), "all")
    assert all(mask.all() for mask in masks.values())


def test_modes_of_dense_models_need_no_gates():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)])
    assert open_of(learn(model, "head")) == ["dense_1/bias", "dense_1/kernel"]
    assert open_of(learn(model, "none")) == []


@pytest.mark.parametrize(
    "between",
    [
        lambda: layers.LayerNormalization(),
        lambda: layers.Activation("sigmoid"),
        lambda: layers.BatchNormalization(trainable=False),
    ],
)
@pytest.mark.parametrize("gate", ["linear", "static"])
def test_a_row_that_reads_a_closed_unit_as_another_number_stays(between, gate):
    masks = learn(after_a_gate(between(), layers.Dense(3), gate=gate), "inactive", REFERENCE)
    assert open_of(masks) == ["first/bias", "first/kernel"]


def test_a_unit_that_is_read_twice_learns_both_rows():
    first = kdg.DynamicGateDense(32, "relu", gate="linear", block_size=8, name="first")
    inputs = keras.Input((4,))
    hidden = first(inputs)
    model = keras.Model(inputs, [layers.Dense(1)(hidden), layers.Dense(2)(hidden)])
    set_gate(first, [1, 1, 0, 0])
    masks = learn(model, "inactive", REFERENCE)
    assert masks["dense/kernel"][:, 0].tolist() == masks["dense_1/kernel"][:, 0].tolist()
    assert masks["dense/kernel"][:, 0].tolist() == [True] * 16 + [False] * 16


def test_a_layer_that_is_called_twice_learns_what_is_closed_both_times():
    first = kdg.DynamicGateDense(32, "relu", gate="linear", block_size=8, name="first")
    shared = layers.Dense(2, name="shared")
    inputs = keras.Input((4,))
    other = layers.Dense(32, name="other")(inputs)
    model = keras.Model(inputs, layers.Add()([shared(first(inputs)), shared(other)]))
    set_gate(first, [1, 1, 0, 0])
    assert open_of(learn(model, "inactive", REFERENCE)) == ["first/bias", "first/kernel"]


def test_a_gate_computed_from_outputs_leaves_the_column_before_it_alone():
    gate = kdg.DynamicGate(gate="linear", name="gate")
    model = keras.Sequential([keras.Input((4,)), gate, layers.Dense(12, name="after")])
    before = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="before"), *model.layers])
    before.get_layer("before").set_weights([np.eye(4), np.zeros(4)])
    set_gate(gate, [0, 1, 0, 0])
    masks = learn(before, "inactive", REFERENCE)
    assert open_of(masks) == ["sequential/after/kernel"]
    assert masks["sequential/after/kernel"][:, 0].tolist() == [False, True, False, False]


def test_static_gates_free_the_column_before_them():
    gate = kdg.DynamicGate(gate="static", name="gate")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="before"), gate])
    gate.gate.network.scaled_bias.assign([1.0, -1.0, 1.0])
    masks = learn(model, "inactive", REFERENCE)
    assert masks["before/bias"].tolist() == [False, True, False]
    assert (masks["before/kernel"] == masks["before/bias"]).all()


def test_channels_learn_filters_and_rows_through_flatten():
    conv = kdg.DynamicGateConv2D(2, 3, activation="relu", gate="static", block_size=1, name="conv")
    model = keras.Sequential(
        [keras.Input((4, 4, 1)), conv, layers.Flatten(), layers.Dense(1, name="head")]
    )
    conv.gate.network.scaled_bias.assign([1.0, -1.0])
    masks = learn(model, "inactive", np.ones((1, 4, 4, 1)))
    assert masks["conv/kernel"].reshape(-1, 2).tolist() == [[False, True]] * 9
    assert masks["head/kernel"][:, 0].tolist() == [False, True] * 4


def test_loras_learn_by_column_and_row():
    model = after_a_gate(layers.Dense(3, lora_rank=1), lora_rank=1)
    masks = learn(model, "inactive", REFERENCE)
    assert masks["first/lora_kernel_b"].tolist() == [FIRST_FOUR.tolist()]
    assert not masks["first/lora_kernel_a"].any()
    assert masks["dense/lora_kernel_a"][:, 0].tolist() == FIRST_FOUR.tolist()
    assert not masks["dense/lora_kernel_b"].any()


def test_a_loop_of_ones_own_gives_its_optimizer():
    model = after_a_gate(layers.Dense(3))
    optimizer = MaskedUpdate("adam")
    set_update_mode(model, "head", optimizer=optimizer)
    assert sum(numpy(mask).sum() for mask in optimizer.masks) == 8 * 3 + 3


def test_inactive_measures_and_changes_nothing_else():
    model = two_gated_layers()
    model.compile(MaskedUpdate("adam"), "mse")
    set_update_mode(model, "inactive", REFERENCE)
    before = {weight.path: numpy(weight) for weight in model.weights}
    model.fit(DRIFTED, TARGETS, verbose=0)
    moved = {w.path for w in model.weights if not np.array_equal(before[w.path], numpy(w))}
    assert {path for path in moved if "seed" not in path} == {
        "first/kernel",
        "first/bias",
        "first/gate/usage",
        "block/hidden/kernel",
        "block/hidden/bias",
        "block/output/kernel",
        "block/gate/usage",
    }


def refuse(model, match, mode="inactive", reference=REFERENCE, **options):
    with pytest.raises(ValueError, match=match):
        learn(model, mode, reference, **options)


def test_refusals_name_the_argument():
    dense = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    refuse(dense, "`model` must have gated layers.*Received: model", "gates")
    refuse(dense, "`model` must have gated layers", "inactive")
    model = after_a_gate(layers.Dense(3))
    refuse(model, "`mode` must be one of 'none'.*Received: mode='some'", "some")
    refuse(model, "`reference` is needed.*Received: reference=None", reference=None)
    refuse(model, "`reference` must hold at least one sample", reference=REFERENCE[:0])
    refuse(model, r"samples of shape \(4,\).*Received: .*\(6, 3\)", reference=REFERENCE[:, :3])
    refuse(model, "`tau` must be a number from 0 to 1", tau=2.0)
    refuse(model, "`reference` .*NaN", reference=REFERENCE * np.nan)
    refuse(model, r"opens every one of the 4 gates.*2 at tau=0\.5", reference=some_of_both())


def some_of_both():
    """Inputs of which a quarter opens all gates."""
    return np.concatenate([REFERENCE[:6], DRIFTED[:2]])


def test_an_optimizer_without_masks_is_refused():
    model = after_a_gate(layers.Dense(3))
    model.compile("adam", "mse")
    refuse(model, "must be a `keras_dynamicgate.plasticity.MaskedUpdate`")


def test_statistics_that_would_move_are_refused_by_name():
    model = after_a_gate(layers.BatchNormalization(name="norm"), layers.Dense(3))
    refuse(model, r"(?s)follow.*'[a-z_]*/?norm'.*Received: mode='gates'", "gates")
    learn(model, "all")
