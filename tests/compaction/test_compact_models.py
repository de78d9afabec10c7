"""What `compact` does to whole models: what stays, structure, dtypes, sharing."""

import keras
import numpy as np
import pytest
from compaction.small_models import STATIC, check_same, outputs_of, scatter, set_gates, units
from keras import layers

import keras_dynamicgate as kdg
from keras_dynamicgate.benchmarking.dense_reference import dense_reference
from keras_dynamicgate.compaction.compact import compact, compact_with_report


def test_a_layer_that_is_all_closed_keeps_one_unit():
    model = keras.Sequential(
        [
            keras.Input((2,)),
            kdg.DynamicGateDense(4, "sigmoid", **STATIC),
            layers.Dense(3, "relu"),
            layers.Dense(2),
        ]
    )
    scatter(model)
    set_gates(model.layers[0], [0, 0, 0, 0])
    small = compact(model)
    assert units(small) == [1, 1, 1]  # all outputs are constants
    check_same(model, small)


def test_adapted_normalization_keeps_its_statistics():
    normalization = layers.Normalization()
    normalization.adapt(np.array([[0.0, 2.0], [4.0, 2.5]]))
    model = keras.Sequential(
        [
            keras.Input((2,)),
            normalization,
            kdg.DynamicGateDense(4, "relu", **STATIC),
            layers.Dense(2),
        ]
    )
    scatter(model.layers[1])
    scatter(model.layers[2])
    set_gates(model.layers[1], [1, 1, 1, 1])
    check_same(model, compact(model))
    check_same(model, dense_reference(model))


def test_units_that_two_gates_close_in_turn_go_once():
    model = keras.Sequential(
        [
            keras.Input((2,)),
            kdg.DynamicGateDense(4, "relu", **STATIC),
            kdg.DynamicGate(),
            layers.Dense(2),
        ]
    )
    scatter(model)
    set_gates(model.layers[0], [1, 1, 0, 0])
    set_gates(model.layers[1], [0, 1, 1, 0])
    small = compact(model)
    assert units(small) == [1, 2]
    check_same(model, small)


def test_closed_outputs_of_the_model_are_put_back():
    model = keras.Sequential([keras.Input((2,)), kdg.DynamicGateDense(3, name="last", **STATIC)])
    scatter(model)
    set_gates(model.layers[0], [1, 0, 1])
    small, report = compact_with_report(model)
    assert small.output.shape == (None, 3)
    assert units(small) == [2]
    assert not report.kept
    check_same(model, small)


def test_softmax_and_unknown_layers_read_all_units():
    model = keras.Sequential(
        [
            keras.Input((3, 2)),
            kdg.DynamicGateDense(4, name="gated", **STATIC),
            layers.LayerNormalization(name="norm"),
            layers.Dense(3, "softmax", name="soft"),
            kdg.DynamicGate(),
            layers.LSTM(2),
        ]
    )
    scatter(model)
    set_gates(model.layers[0], [1, 0, 1, 0])
    set_gates(model.layers[3], [1, 0, 1])
    small, report = compact_with_report(model)
    assert units(small) == [2, 4, 3, 2]
    check_same(model, small)


def test_shared_layers_stay_whole():
    start = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    gate = kdg.DynamicGate()
    model = keras.Model(start, shared(gate(shared(start))))
    scatter(model)
    set_gates(gate, [1, 0, 1, 0])
    small, report = compact_with_report(model)
    assert len(small.weights) == 2
    assert "called more than once" in report.kept[0].reason
    check_same(model, small)


def test_inner_models_are_opened():
    entry, gated = keras.Input((2,)), kdg.DynamicGateDense(4, "relu", **STATIC)
    # Such as the name of a MobileNet.
    inner = keras.Model(entry, layers.Dense(3)(gated(entry)), name="inner_1.0")
    start = keras.Input((2,))
    model = keras.Model(start, layers.Dense(1)(kdg.DynamicGate()(inner(start))))
    scatter(model)
    set_gates(gated, [1, 0, 0, 0])
    set_gates(model.layers[-2], [1, 1, 0])
    small = compact(model)
    assert units(small) == [1, 2, 1]
    assert small.layers[1].name == f"inner_1_0_{gated.name}"
    check_same(model, small)


@pytest.mark.parametrize("gated_linear", [False, True])
def test_a_static_mlp_becomes_dense_layers(gated_linear):
    block = kdg.DynamicGateMLP(6, 2, gate="static", block_size=2, gated_linear=gated_linear)
    model = keras.Sequential([keras.Input((3, 4)), block])
    scatter(model)
    set_gates(block, [0, 1, 0])
    small = compact(model)
    assert units(small) == [2] * (1 + gated_linear) + [2]
    assert all(type(layer).__module__.startswith("keras.src") for layer in small.layers)
    check_same(model, small)


def test_layers_without_gates_become_plain():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            kdg.DynamicGate(gate=None),
            kdg.DynamicGateDense(3, gate=None),
            kdg.DynamicGateMLP(5, 2, gate=None),
        ]
    )
    scatter(model)
    small, report = compact_with_report(model)
    assert report.still_gated == []
    assert report.layers == []
    check_same(model, small)


def test_top_k_and_min_open_say_which_units_stay():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            kdg.DynamicGateDense(4, top_k=1, **STATIC),
            kdg.DynamicGateDense(4, min_open=0.5, **STATIC),
            layers.Dense(2),
        ]
    )
    scatter(model)
    set_gates(model.layers[1], [0, 0, 0, 0])
    small = compact(model)
    assert units(small) == [1, 2, 2]
    check_same(model, small)


def test_several_inputs_and_outputs_keep_their_structure():
    one, other = keras.Input((2,), name="one"), keras.Input((2,), name="other")
    hidden = kdg.DynamicGateDense(4, "relu", **STATIC)
    both = hidden(layers.Concatenate()([one, other]))
    model = keras.Model(
        {"one": one, "other": other}, {"a": layers.Dense(1)(both), "b": layers.Dense(2)(both)}
    )
    scatter(model)
    set_gates(hidden, [1, 0, 0, 1])
    small = compact(model)
    inputs = {"one": np.ones((3, 2), "float32"), "other": -np.ones((3, 2), "float32")}
    expected, outputs = model.predict(inputs, verbose=0), small.predict(inputs, verbose=0)
    assert outputs["a"].shape == (3, 1)
    for name in expected:
        np.testing.assert_allclose(outputs[name], expected[name], rtol=1e-5)


def test_an_input_that_is_not_read_any_more_stays_an_input():
    one, other = keras.Input((2,), name="one"), keras.Input((2,), name="other")
    gate = kdg.DynamicGate()
    model = keras.Model([one, other], layers.Dense(1)(layers.Concatenate()([one, gate(other)])))
    scatter(model)
    set_gates(gate, [0, 0])
    small = compact(model)
    assert [tensor.shape for tensor in small.inputs] == [(None, 2), (None, 2)]
    check_same(model, small)


# The gates themselves have no use for the mask, and Keras says so.
@pytest.mark.filterwarnings(r"ignore:[\s\S]*does not support masking:UserWarning")
def test_timestep_masks_survive():
    model = keras.Sequential(
        [
            keras.Input((3, 2)),
            layers.Masking(0.0),
            kdg.DynamicGate(),
            layers.LSTM(2),
        ]
    )
    scatter(model)
    set_gates(model.layers[1], [0, 1])
    small = compact(model)
    x = np.array([[[1.0, 2], [3, 4], [0, 0]]])
    np.testing.assert_allclose(outputs_of(small, x)[0], outputs_of(model, x)[0], rtol=1e-5)


def test_masks_of_quantized_layers_are_not_quantized():
    inputs = keras.Input((4,))
    gated = kdg.DynamicGateMLP(4, 4, gated_linear=True, dtype="int8_from_float32", **STATIC)
    wide = kdg.DynamicGateDense(4, dtype="int8_from_float32", **STATIC)
    model = keras.Model(inputs, layers.Add()([inputs, wide(inputs), gated(inputs)]))
    for layer in (wide, gated):
        set_gates(layer, [1, 0, 1, 0])
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(
        compact(model).predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float16"])
def test_dtype_policies_are_kept(policy):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            kdg.DynamicGate(dtype=policy),
            kdg.DynamicGateDense(4, "relu", dtype=policy, **STATIC),
            layers.Dense(2, dtype=policy),
        ]
    )
    set_gates(model.layers[0], [1, 1, 0, 1])
    set_gates(model.layers[1], [1, 0, 1, 0])
    small = compact(model)
    assert {layer.dtype_policy.name for layer in small.layers if layer.weights} == {policy}
    assert small.output.dtype == model.layers[-1].output.dtype
    assert small.weights[0].dtype == model.layers[2].kernel.dtype


def test_the_original_is_neither_changed_nor_shared():
    model = keras.Sequential(
        [
            keras.Input((2,)),
            kdg.DynamicGateDense(4, "relu", **STATIC),
            layers.BatchNormalization(),
            layers.Dense(2),
        ]
    )
    set_gates(model.layers[0], [1, 0, 1, 0])
    before, config = [w.copy() for w in model.get_weights()], model.to_json()
    small = compact(model)
    for weight in small.weights:
        weight.assign(np.zeros(weight.shape))
    assert model.to_json() == config
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_a_lora_is_merged():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            kdg.DynamicGateDense(4, "relu", lora_rank=2, **STATIC),
            layers.Dense(2),
        ]
    )
    scatter(model)
    set_gates(model.layers[0], [1, 0, 1, 0])
    small = compact(model)
    assert len(small.weights) == 4
    check_same(model, small)


def test_models_that_cannot_be_followed_say_so():
    with pytest.raises(ValueError, match="not built"):
        compact(keras.Sequential([layers.Dense(2)]))

    class Subclassed(keras.Model):
        pass

    with pytest.raises(ValueError, match="subclassed"):
        compact(Subclassed())


def test_a_finished_compaction_has_nothing_left_to_remove():
    model = keras.Sequential(
        [keras.Input((2,)), kdg.DynamicGateDense(4, "relu", **STATIC), layers.Dense(2)]
    )
    set_gates(model.layers[0], [1, 0, 1, 0])
    small = compact(model)
    again, report = compact_with_report(small)
    assert report.layers == []
    assert report.parameters_before == report.parameters_after
    check_same(small, again)
