"""The gated layers are quantized as the Keras layers that they stand for."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_dynamicgate as kdg

X = np.random.default_rng(1).normal(size=(4, 8)).astype("float32")
MODES = ("int8", "int4", "float8")
DENSE = pytest.mark.parametrize("gate", ["static", None])
# Three of their four gates stay open: exactly so many units have an output.
LAYERS = {
    "dense": lambda **k: kdg.DynamicGateDense(8, gate="static", top_k=6, **k),
    "feed-forward": lambda **k: kdg.DynamicGateMLP(8, 8, gate="static", top_k=6, **k),
}
KINDS = pytest.mark.parametrize("kind", LAYERS)


def numpy(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def quantized_pair(mode):
    ours, dense = kdg.DynamicGateDense(8, gate=None), layers.Dense(8)
    for layer in (ours, dense):
        layer.build((None, 8))
    ours.set_weights(dense.get_weights())
    for layer in (ours, dense):
        layer.quantize(mode)
    return ours, dense


@pytest.mark.parametrize("mode", MODES)
def test_without_a_gate_a_quantized_layer_equals_dense_bit_for_bit(mode):
    ours, dense = quantized_pair(mode)
    np.testing.assert_array_equal(numpy(ours(X)), numpy(dense(X)))
    assert (ours.quantization_mode, ours.dtype_policy.name) == (mode, dense.dtype_policy.name)
    assert [weight.path.split("/")[-1] for weight in ours.weights] == [
        weight.path.split("/")[-1] for weight in dense.weights
    ]
    assert ours.get_config()["dtype"] == dense.get_config()["dtype"]
    if keras.backend.backend() == "torch":
        assert len(ours.torch_params) == len(dense.torch_params)


@KINDS
@pytest.mark.parametrize("mode", MODES)
def test_gates_stay_as_they_are_when_a_layer_is_quantized(kind, mode):
    layer = LAYERS[kind]()
    exact = numpy(layer(X))
    layer.quantize(mode)
    outputs = numpy(layer(X))
    np.testing.assert_allclose(outputs, exact, atol=0.25 * np.abs(exact).max())
    assert {weight.dtype for weight in layer.gate.weights} == {"float32"}
    if kind == "dense":
        np.testing.assert_array_equal((outputs == 0).sum(axis=1), [2] * 4)


@KINDS
@pytest.mark.parametrize("mode", MODES)
def test_layer_can_be_made_quantized(kind, mode):
    layer = LAYERS[kind](dtype=f"{mode}_from_float32")
    assert layer(X).shape == (4, 8)
    assert [dense.quantization_mode for dense in layer.dense_layers] == [mode] * len(
        layer.dense_layers
    )
    copy = type(layer).from_config(layer.get_config())
    copy.build((None, 8))
    assert copy.get_config() == layer.get_config()
    assert [weight.shape for weight in copy.weights] == [weight.shape for weight in layer.weights]


@KINDS
@pytest.mark.parametrize("built", [True, False])
def test_layer_is_quantized_by_its_dtype_policy(kind, built):
    layer = LAYERS[kind]()
    if built:
        layer.build((None, 8))
    layer.dtype_policy = "int8_from_float32"
    layer(X)
    assert {dense.quantization_mode for dense in layer.dense_layers} == {"int8"}


@KINDS
@pytest.mark.parametrize("built", [True, False])
def test_dtype_policy_is_that_of_the_layers_inside(kind, built):
    layer = LAYERS[kind]()
    if built:
        layer.build((None, 8))
    layer.dtype_policy = "mixed_bfloat16"
    assert keras.backend.standardize_dtype(layer(X).dtype) == "bfloat16"
    assert {dense.compute_dtype for dense in layer.dense_layers} == {"bfloat16"}


def test_layers_work_under_a_quantized_policy_for_all_layers():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("int8_from_float32")
    try:
        parts = [kdg.DynamicGate(), *(make() for make in LAYERS.values()), layers.Dense(3)]
    finally:
        keras.config.set_dtype_policy(before)
    model = keras.Sequential([keras.Input((8,)), *parts])
    assert model.predict(X, verbose=0).shape == (4, 3)
    assert model.layers[1].quantization_mode == "int8"


@DENSE
def test_policy_map_names_the_layer_by_its_path(gate):
    policies = keras.dtype_policies.DTypePolicyMap(
        policy_map={
            "low": keras.dtype_policies.get("mixed_bfloat16"),
            "whole": keras.dtype_policies.get("int8_from_float32"),
        }
    )
    named = [
        kdg.DynamicGateDense(8, gate=gate, dtype=policies, name=name)
        for name in ("low", "whole", "other")
    ]
    for layer in named:
        layer(keras.Input((8,)))
    assert [layer.compute_dtype for layer in named] == ["bfloat16", "float32", "float32"]
    assert [layer.dense.compute_dtype for layer in named] == ["bfloat16", "float32", "float32"]
    assert [layer.dense.quantization_mode for layer in named] == [None, "int8", None]


@DENSE
def test_layers_of_a_model_are_chosen_by_their_names(gate):
    model = keras.Sequential(
        [keras.Input((8,)), *(kdg.DynamicGateDense(8, gate=gate, name=name) for name in "ab")]
    )
    model.quantize("int8", filters=["^a$"])
    assert [layer.quantization_mode for layer in model.layers] == ["int8", None]


@KINDS
@pytest.mark.parametrize("mode", MODES)
def test_quantized_model_is_saved_with_its_outputs(kind, mode, tmp_path):
    model = keras.Sequential([keras.Input((8,)), LAYERS[kind]()])
    model.layers[0].quantize(mode)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(X)), numpy(model(X)))
    assert {dense.quantization_mode for dense in loaded.layers[0].dense_layers} == {mode}


@KINDS
def test_layer_refuses_what_keras_refuses_to_quantize(kind):
    layer = LAYERS[kind]()
    with pytest.raises(ValueError, match="isn't yet built"):
        layer.quantize("int8")
    layer.build((None, 8))
    with pytest.raises(ValueError, match="Invalid quantization mode"):
        layer.quantize("int7")
    layer.quantize("int8")
    with pytest.raises(ValueError, match="is already quantized"):
        layer.quantize("int8")


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (kdg.DynamicGateConv2D(4, 1, gate=None), "Conv2D"),
        (kdg.DynamicGate(), "DynamicGate"),
        (kdg.baselines.RigLDense(4), "RigLDense"),
    ],
)
def test_layer_that_cannot_be_quantized_says_so(layer, name):
    layer.build((None, 4, 4, 8))
    with pytest.raises(NotImplementedError, match=f"Layer {name} does not have a `quantize`"):
        layer.quantize("int8")


@pytest.mark.parametrize("mode", ["float8"])
def test_training_is_handed_to_the_layer_inside(mode):
    ours, dense = quantized_pair(mode)
    for layer in (ours, dense):
        model = keras.Sequential([layer])
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        model.fit(X, X, verbose=0, shuffle=False)
    np.testing.assert_allclose(
        numpy(ours.inputs_amax_history), numpy(dense.inputs_amax_history), rtol=1e-6
    )
    assert numpy(ours.inputs_amax_history)[0] > 0
