import keras
import numpy as np
import pytest
from harness import gradient
from keras import ops

import keras_dynamicgate as kdg
from keras_dynamicgate.layers import dynamic_gate_mlp
from keras_dynamicgate.layers.skipping import feed_forward, tiles, torch_loop

BACKEND = keras.backend.backend()
X = np.random.default_rng(1).normal(size=(5, 6)).astype("float32")


@pytest.fixture(autouse=True, scope="module")
def _skip_at_any_size():
    """Skip also where it does not pay: tiny layers, everything open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(feed_forward.LEAST_BLOCK_WEIGHTS, BACKEND, 0)
        patch.setattr(tiles, "WORK_LIMIT", 10.0)
        patch.setattr(torch_loop, "WORK_LIMIT", 10.0)
        yield


@pytest.fixture
def _retrace():
    """Forget what is compiled: the test changes what is traced."""
    functions = (feed_forward._jax_function, feed_forward._tensorflow_function)
    for function in functions:
        function.cache_clear()
    yield
    for function in functions:
        function.cache_clear()


@pytest.fixture
def computed(monkeypatch, _retrace):
    """The rows and hidden units of every product into hidden units that is traced or run."""
    shapes = []
    for module in (tiles, torch_loop):
        original = module._hidden_units

        def spy(x, weights, activation, original=original):
            shapes.append((x.shape[0], weights.hidden_kernel.shape[1]))
            return original(x, weights, activation)

        monkeypatch.setattr(module, "_hidden_units", spy)
    return shapes


def model_of(shape=(6,), gate="linear", **arguments):
    """Make a model of one block of 8 hidden units; about half of its gates are open."""
    arguments = {"block_size": 2, "activation": "gelu", "bias_initializer": "normal"} | arguments
    block = kdg.DynamicGateMLP(8, 3, gate=gate, **arguments)
    model = keras.Sequential([keras.Input(shape), block])
    random = np.random.default_rng(2)
    for weight in block.gate.trainable_weights if block.gate else []:
        weight.assign(random.normal(size=weight.shape))
    return model


def run(model, x, execution):
    model.layers[0].execution = execution
    return ops.convert_to_numpy(model(x))


def predict(model, x, execution):
    model.layers[0].execution = execution
    model.make_predict_function(force=True)
    return model.predict(x, verbose=0)


def check_equal(model, x=X, outputs=run):
    masked = outputs(model, x, "masked")
    np.testing.assert_allclose(outputs(model, x, "skip"), masked, atol=1e-5)
    return masked


def set_gates(block, logits):
    """Decide static gates."""
    block.gate.network.scaled_bias.assign(logits)


pytestmark = pytest.mark.filterwarnings("ignore:The gate network")


@pytest.mark.parametrize(
    ("gate", "samples"), [("static", 5), ("linear", 5), ("linear", 1), ("low_rank", 5), ("mlp", 5)]
)
def test_outputs_are_those_of_masked_execution(gate, samples):
    check_equal(model_of(gate=gate), X[:samples])


@pytest.mark.parametrize("gate", ["static", "linear"])
def test_gated_linear_outputs_are_those_of_masked_execution(gate):
    check_equal(model_of(gate=gate, gated_linear=True))


@pytest.mark.parametrize("gate", ["static", "linear"])
def test_predict_gives_the_masked_outputs_for_every_batch(gate):
    x = np.resize(X, (9, 6))
    check_equal(model_of(gate=gate), x, predict)


def test_only_open_units_reach_the_output():
    # Hidden units relu(x * (1, 2, 4, 8)), the first and the last open: 3 + 24.
    block = kdg.DynamicGateMLP(4, 1, gate="static", block_size=1, execution="skip")
    model = keras.Sequential([keras.Input((1,)), block])
    block.hidden_dense.kernel.assign([[1.0, 2.0, 4.0, 8.0]])
    block.output_dense.kernel.assign([[1.0], [1.0], [1.0], [1.0]])
    set_gates(block, [1.0, -1.0, -1.0, 1.0])
    x = np.array([[3.0], [-1.0]], "float32")
    np.testing.assert_array_equal(run(model, x, "skip"), [[27.0], [0.0]])


def test_each_sample_gets_its_own_units():
    # One gate opens for positive inputs, the other for negative ones; the units are x and 10 x.
    block = kdg.DynamicGateMLP(2, 1, "linear", gate="linear", block_size=1, execution="skip")
    model = keras.Sequential([keras.Input((1,)), block])
    block.hidden_dense.kernel.assign([[1.0, 10.0]])
    block.output_dense.kernel.assign([[1.0], [1.0]])
    block.gate.network.kernel.assign([[1.0, -1.0]])
    set_gates(block, [0.0, 0.0])
    x = np.array([[1], [-2], [3], [-4], [5]], "float32")
    np.testing.assert_array_equal(run(model, x, "skip"), [[1], [-20], [3], [-40], [5]])


@pytest.mark.parametrize("positions", [2, 17])
def test_tiles_need_not_divide_the_batch(positions):
    check_equal(model_of(), np.resize(X, (positions, 6)))


@pytest.mark.parametrize("gate", ["static", "linear"])
def test_positions_of_a_sequence_have_gates_of_their_own(gate):
    x = np.random.default_rng(3).normal(size=(2, 3, 2, 6)).astype("float32")
    assert check_equal(model_of((3, 2, 6), gate=gate), x).shape == (2, 3, 2, 3)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", None, lambda x: x * 2])
def test_every_activation_gives_the_masked_outputs(activation):
    check_equal(model_of(activation=activation))


@pytest.mark.parametrize("arguments", [{"block_size": 1}, {"block_size": 8}, {"use_bias": False}])
def test_block_sizes_and_missing_biases_give_the_masked_outputs(arguments):
    check_equal(model_of(**arguments))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_precisions_give_the_masked_outputs(policy):
    model = model_of(dtype=policy)
    masked = run(model, X, "masked").astype("float32")
    np.testing.assert_allclose(run(model, X, "skip").astype("float32"), masked, atol=1e-5)


@pytest.mark.parametrize(("logit", "gate"), [(-1.0, "static"), (1.0, "static"), (-9.0, "linear")])
def test_all_closed_and_all_open_give_the_masked_outputs(logit, gate):
    model = model_of(gate=gate)
    set_gates(model.layers[0], [logit] * 4)
    check_equal(model)
    check_equal(model, X[:1])


def test_top_k_gates_give_the_masked_outputs():
    check_equal(model_of(top_k=1))
    check_equal(model_of(top_k=3, gate="static"))


def test_without_a_gate_there_is_nothing_to_skip():
    check_equal(model_of(gate=None))


def test_nan_in_the_input_is_not_hidden_by_closed_gates():
    model = model_of(gate="static")
    set_gates(model.layers[0], [-1.0] * 4)
    x = X.copy()
    x[1, 2] = np.nan
    outputs = run(model, x, "skip")
    np.testing.assert_array_equal(np.isnan(outputs).all(axis=1), [False, True, False, False, False])
    np.testing.assert_array_equal(np.isnan(outputs), np.isnan(run(model, x, "masked")))


def test_quantized_layers_and_lora_run_masked():
    model = model_of()
    model.layers[0].hidden_dense.enable_lora(2)
    check_equal(model)
    model = model_of()
    for dense in model.layers[0].dense_layers:
        dense.quantize("int8")
    check_equal(model)


def test_products_are_those_of_blocks_and_not_of_the_layer(computed, monkeypatch):
    model = model_of()
    monkeypatch.setattr(tiles, "masked", lambda x, *_, **__: ops.zeros((x.shape[0], 3)))
    run(model, np.resize(X, (16, 6)), "skip")
    assert computed
    assert {units for _, units in computed} == {2}


def test_training_runs_masked(monkeypatch):
    monkeypatch.setattr(dynamic_gate_mlp, "feed_forward", None)
    model_of(execution="skip").layers[0](X, training=True)


@pytest.mark.usefixtures("_retrace")
def test_much_open_work_runs_masked(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(torch_loop, "WORK_LIMIT", 0.75)
    monkeypatch.setattr(tiles, "WORK_LIMIT", 0.75)
    for module in (tiles, torch_loop):
        monkeypatch.setattr(module, "_block", None)
    model = model_of(gate="static")
    set_gates(model.layers[0], [1.0] * 4)
    if BACKEND == "torch":
        check_equal(model)
        return
    # Only the mask tells, so the compiled program has both.
    monkeypatch.undo()
    monkeypatch.setattr(tiles, "WORK_LIMIT", 0.75)
    monkeypatch.setattr(tiles, "masked", lambda x, *_, **__: ops.ones((5, 3)))
    np.testing.assert_array_equal(run(model, X, "skip"), np.ones((5, 3)))
    set_gates(model.layers[0], [1.0, 1.0, 1.0, -1.0])
    assert np.all(run(model, X, "skip") != 1)


def test_small_blocks_run_masked(computed, monkeypatch):
    model = model_of(gate="static")
    monkeypatch.setitem(feed_forward.LEAST_BLOCK_WEIGHTS, BACKEND, 2 * (6 + 3) + 1)
    check_equal(model)
    assert computed == []
    monkeypatch.setitem(feed_forward.LEAST_BLOCK_WEIGHTS, BACKEND, 2 * (6 + 3))
    check_equal(model)
    assert computed != []


def test_saved_and_cloned_models_keep_the_execution(tmp_path):
    model = model_of(execution="skip")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].execution == "skip"
    assert keras.models.clone_model(model).layers[0].execution == "skip"
    np.testing.assert_array_equal(run(loaded, X, "skip"), run(model, X, "skip"))


def test_execution_adds_no_weight():
    assert len(model_of(execution="skip").weights) == len(model_of().weights)


def test_config_of_an_older_version_runs_masked():
    config = model_of().layers[0].get_config()
    del config["execution"]
    assert kdg.DynamicGateMLP.from_config(config).execution == "masked"


def test_macs_do_not_depend_on_the_execution():
    model = model_of()
    masked = kdg.count_macs(model, X)
    model.layers[0].execution = "skip"
    assert kdg.count_macs(model, X).executed == masked.executed


@pytest.mark.parametrize("execution", ["fast", None, True])
def test_execution_has_to_be_known(execution):
    message = r"`execution` must be one of 'masked', 'skip'. Received: execution="
    with pytest.raises(ValueError, match=message):
        kdg.DynamicGateMLP(8, 3, execution=execution)
    with pytest.raises(ValueError, match=message):
        kdg.DynamicGateMLP(8, 3).execution = execution


@pytest.mark.parametrize(
    ("positions", "rows"), [(1, 2), (3, 2), (4, 4), (8, 4), (16, 8), (64, 16), (10**6, 64)]
)
def test_tiles_grow_with_the_square_root_of_the_batch(positions, rows):
    assert tiles.tile_rows(positions) == rows


def test_gradients_pass_at_inference():
    block = model_of(execution="skip").layers[0]
    slope = gradient(lambda x: ops.sum(block(x)), X)
    block.execution = "masked"
    np.testing.assert_allclose(slope, gradient(lambda x: ops.sum(block(x)), X), atol=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow only")
@pytest.mark.parametrize("jit_compile", [False, True])
def test_tensorflow_functions_skip_with_and_without_xla(jit_compile, computed):
    import tensorflow as tf

    model = model_of()
    expected = run(model, X, "masked")
    model.layers[0].execution = "skip"
    function = tf.function(model, jit_compile=jit_compile)
    np.testing.assert_allclose(function(X), expected, atol=1e-5)
    assert computed != []


@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch only")
@pytest.mark.parametrize(
    ("arguments", "positions"),
    [({"top_k": 2}, 1), ({"top_k": 2, "gate": "static"}, 5), ({"top_k": 2}, 5), ({}, 1)],
)
def test_torch_export_gives_the_masked_outputs(arguments, positions, computed):
    import torch

    model = model_of(**arguments).eval()
    x = torch.tensor(X[:positions])
    expected = model(x).detach()
    model.layers[0].execution = "skip"
    program = torch.export.export(model, (x,))
    np.testing.assert_allclose(program.module()(x).detach(), expected, atol=1e-5)
    gathers = "top_k" in arguments and (positions == 1 or "gate" in arguments)
    assert computed == ([(positions, 4)] if gathers else [])
