"""What Keras offers for training and changing models, on gated ones."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

import keras_dynamicgate as kdg

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(16, 6)).astype("float32")
Y = RANDOM.normal(size=(16, 3)).astype("float32")


def gated_model(**arguments):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6,)),
            kdg.DynamicGate(),
            kdg.DynamicGateDense(16, "relu", gate="linear", block_size=4, **arguments),
            kdg.DynamicGateMLP(16, 8, gate="linear", block_size=4, **arguments),
            keras.layers.Dense(3),
        ]
    )


def outputs(model):
    return ops.convert_to_numpy(model(X, training=False))


def masks(model):
    """The masks of all gated layers, side by side."""
    with kdg.gating.record.record_gates() as record:
        model(X, training=False)
    parts = [np.broadcast_to(mask, (len(X), mask.shape[-1])) for mask in record.masks().values()]
    return np.concatenate(parts, axis=1)


def test_int8_weights_leave_the_masks_as_they_are():
    model = gated_model()
    model.layers[1].gate.network.kernel.assign(RANDOM.normal(size=(6, 4)))
    before, open_before = outputs(model), masks(model)
    assert 0 < open_before.mean() < 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras names each layer that has nothing to quantize
        model.quantize("int8")
    assert model.layers[1].dense.quantization_mode == "int8"
    assert model.layers[2].hidden_dense.quantization_mode == "int8"
    np.testing.assert_array_equal(masks(model)[:, :10], open_before[:, :10])
    assert np.abs(outputs(model) - before).max() < 0.1 * np.abs(before).max()


def test_low_rank_adaptation_trains_its_own_weights_and_the_gates():
    model = gated_model()
    before = outputs(model)
    kernel = ops.convert_to_numpy(model.layers[1].dense.kernel).copy()
    for layer in (model.layers[1], model.layers[2].hidden_dense):
        layer.enable_lora(2)
    np.testing.assert_allclose(outputs(model), before, atol=1e-6)
    frozen = ops.convert_to_numpy(model.layers[1].dense._kernel).copy()
    model.compile("adam", "mse")
    model.fit(X, Y, epochs=2, verbose=0)
    dense = model.layers[1].dense
    np.testing.assert_array_equal(ops.convert_to_numpy(dense._kernel), frozen)
    assert np.abs(ops.convert_to_numpy(dense.kernel) - kernel).max() > 0
    gate = model.layers[1].gate.network
    assert any(weight is gate.kernel for weight in model.trainable_weights)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_with_gates_in_float32(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = gated_model()
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.layers[1].dense.compute_dtype == policy.removeprefix("mixed_")
    assert model.layers[1].gate.compute_dtype == "float32"
    model.compile("adam", "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few steps miss the budget
        history = model.fit(X, Y, epochs=4, verbose=0, callbacks=[kdg.MacBudget(0.8)]).history
    assert np.all(np.isfinite(history["loss"]))
    assert float(ops.convert_to_numpy(model.layers[1].gate.price)) > 0
    assert np.all(np.isfinite(outputs(model)))


def test_accumulated_gradients_are_those_of_the_whole_batch():
    def train(batch_size, steps):
        model = gated_model(estimator="threshold", usage_regularizer=kdg.UsagePenalty(0.1))
        model.layers[0].gate.estimator = "threshold"
        optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=steps)
        model.compile(optimizer, "mse")
        model.fit(X, Y, batch_size=batch_size, epochs=3, shuffle=False, verbose=0)
        return model.trainable_weights

    for whole, parts in zip(train(16, None), train(4, 4), strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(whole), ops.convert_to_numpy(parts), atol=1e-5
        )


def test_a_clone_has_the_same_gates_and_weights_of_its_own():
    model = gated_model(temperature=2.0, min_open=0.25)
    clone = keras.models.clone_model(model)
    assert [layer.get_config() for layer in clone.layers] == [
        layer.get_config() for layer in model.layers
    ]
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(outputs(clone), outputs(model))
    clone.layers[1].gate.threshold.assign(0.99)
    assert float(ops.convert_to_numpy(model.layers[1].gate.threshold)) == 0.5


def test_a_clone_of_a_quantized_model_is_quantized():
    model = gated_model()
    config = keras.quantizers.Int8QuantizationConfig(activation_quantizer=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras names each layer that has nothing to quantize
        model.quantize(config=config)
    clone = keras.models.clone_model(model)
    assert clone.layers[1].dense.quantization_mode == "int8"
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(outputs(clone), outputs(model))


def test_tensorboard_shows_usage_and_macs_as_scalars_and_gates_as_histograms(tmp_path):
    pytest.importorskip("tensorboard")
    import tensorflow as tf

    model = gated_model()
    model.compile("adam", "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own, while it writes the files
        model.fit(
            X,
            Y,
            epochs=2,
            verbose=0,
            callbacks=[
                kdg.GateSummary(X, verbose=0),
                keras.callbacks.TensorBoard(tmp_path, histogram_freq=1, write_graph=False),
            ],
        )
        files = list(tmp_path.rglob("events*"))
        events = [e for file in files for e in tf.compat.v1.train.summary_iterator(str(file))]
    kinds = {
        value.tag: value.metadata.plugin_data.plugin_name
        for event in events
        for value in event.summary.value
    }
    for name in ("gate_usage", "open_ratio", "relative_macs"):
        assert kinds[f"epoch_{name}"] == "scalars"
    usage = model.layers[1].gate.usage.path
    assert kinds[f"{usage}/histogram"] == "histograms"
