"""Transformers of keras_hub, made from a config: nothing is downloaded.

keras_hub brings large dependencies that this package does not need, so it is in no extra. Its
models do without most of them:
`pip install --no-deps keras-hub kagglehub kagglesdk==0.1.28 regex tokenizers`.
"""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

import keras_dynamicgate as kdg
from keras_dynamicgate.layers.gated_layer import gated_layers

hub = pytest.importorskip("keras_hub", exc_type=ImportError)

# Layers small enough for a test are too small for gates that depend on the input.
pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")

SIZES = {"vocabulary_size": 20, "num_layers": 1, "hidden_dim": 8, "intermediate_dim": 32}


def bert():
    return hub.models.BertBackbone(num_heads=2, max_sequence_length=5, **SIZES)


def gpt2():
    return hub.models.GPT2Backbone(num_heads=2, max_sequence_length=5, **SIZES)


def llama():
    # Embeddings that are not tied have weights without a gradient.
    return hub.models.LlamaBackbone(
        num_query_heads=2, num_key_value_heads=1, tie_word_embeddings=True, **SIZES
    )


def gemma():
    return hub.models.GemmaBackbone(num_query_heads=2, num_key_value_heads=1, head_dim=4, **SIZES)


def qwen3():
    return hub.models.Qwen3Backbone(
        num_query_heads=2, num_key_value_heads=1, head_dim=4, tie_word_embeddings=True, **SIZES
    )


def deberta():
    return hub.models.DebertaV3Backbone(num_heads=2, max_sequence_length=5, bucket_size=4, **SIZES)


def albert():
    return hub.models.AlbertBackbone(
        num_heads=2, embedding_dim=8, max_sequence_length=5, **{**SIZES, "num_layers": 2}
    )


def roberta():
    return hub.models.RobertaBackbone(num_heads=2, max_sequence_length=5, **SIZES)


@pytest.fixture(scope="module", params=[bert, gpt2, llama])
def backbone(request):
    return request.param()


def tokens(model):
    ids = np.array([[1, 2, 3], [4, 5, 6]])
    values = {
        "token_ids": ids,
        "segment_ids": ids * 0,
        "padding_mask": np.array([[1, 1, 1], [1, 1, 0]]),
    }
    return {name: values[name] for name in model.input if name in values}


def outputs(model, x):
    return [ops.convert_to_numpy(tensor) for tensor in keras.tree.flatten(model(x))]


def test_gated_transformers_give_the_same_outputs_also_when_loaded(backbone, tmp_path):
    x = tokens(backbone)
    gated = kdg.gate_model(backbone)
    (layer,) = gated_layers(gated)
    assert layer.path == "transformer_layer_0/feedforward_intermediate_dense"
    for got, wanted in zip(outputs(gated, x), outputs(backbone, x), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)
    # Otherwise the file might hold open gates alone.
    layer.gate.network.scaled_bias.assign(np.linspace(-1, 1, 32))
    gated.save(tmp_path / "gated.keras")
    loaded = keras.saving.load_model(tmp_path / "gated.keras")
    for got, wanted in zip(outputs(loaded, x), outputs(gated, x), strict=True):
        np.testing.assert_array_equal(got, wanted)


def check_loading(model, x, path):
    """Gate a model, close some gates, and check its outputs and weights before and after a file."""
    gated = kdg.gate_model(model)
    for got, wanted in zip(outputs(gated, x), outputs(model, x), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)
    for layer in gated_layers(gated):
        bias = layer.gate.network.scaled_bias
        bias.assign(np.linspace(-1, 1, bias.shape[0]))
    gated.save(path)
    loaded = keras.saving.load_model(path, compile=False)
    assert isinstance(gated, type(model))
    assert isinstance(loaded, type(model))
    for got, wanted in zip(outputs(loaded, x), outputs(gated, x), strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert len(loaded.weights) == len(gated.weights)
    # What was loaded is saved again after more training.
    loaded.save(path)
    keras.saving.load_model(path, compile=False)
    return gated


@pytest.mark.parametrize("make", [gemma, qwen3, deberta, albert])
def test_backbones_whose_layers_keras_cannot_copy_are_gated_counted_and_loaded(make, tmp_path):
    backbone = make()
    gated = check_loading(backbone, tokens(backbone), tmp_path / "gated.keras")
    report = kdg.count_macs(gated, tokens(backbone))
    # On TensorFlow this layer calls tf.gather, which has no symbolic form, so it is named instead.
    on_tensorflow = make is deberta and keras.backend.backend() == "tensorflow"
    types = ["DisentangledSelfAttention"] if on_tensorflow else []
    assert [name.split("(")[-1].rstrip(")") for name in report.not_counted] == types
    assert report.dense == kdg.count_macs(backbone, tokens(backbone)).dense


def embeddings(model):
    """The look-up tables of the tokens of a model."""
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.Embedding) and layer.input_dim == 20
    ]


@pytest.mark.parametrize(
    ("task", "make"),
    [("BertMaskedLM", bert), ("RobertaMaskedLM", roberta), ("GPT2CausalLM", gpt2)],
)
def test_a_tied_embedding_stays_tied_also_when_loaded(task, make, tmp_path):
    model = getattr(hub.models, task)(backbone=make())
    x = {**tokens(model), "mask_positions": np.array([[0, 2], [1, 2]])}
    x = {name: x[name] for name in model.input}
    gated = check_loading(model, x, tmp_path / "gated.keras")
    assert len(embeddings(gated)) == len(embeddings(model)) == 1


def test_a_vision_transformer_is_gated_and_loaded(tmp_path):
    model = hub.models.ViTBackbone(
        image_shape=(8, 8, 3), patch_size=4, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=32
    )
    check_loading(model, np.ones((1, 8, 8, 3)), tmp_path / "gated.keras")


def test_experts_and_arguments_that_keras_takes_away_are_counted():
    moe = hub.models.MixtralBackbone(
        vocabulary_size=20,
        num_layers=1,
        num_query_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        num_key_value_heads=1,
        num_experts=2,
        top_k=1,
    )
    report = kdg.count_macs(moe, tokens(moe))
    # Attention: 2 x 192 + 2 x 96 and the scores. Router: 3 x 8 x 2. Both experts run: three
    # products of 3 x 8 x 16 each.
    assert (report.dense, report.not_counted) == (576 + 144 + 48 + 2 * 3 * 384, [])


def test_gated_transformers_train(backbone):
    model = kdg.gate_model(backbone)
    x = tokens(model)
    inputs = {name: keras.Input((3,), dtype="int32", name=name) for name in x}
    hidden = model(inputs)
    hidden = hidden["pooled_output"] if isinstance(hidden, dict) else hidden[:, 0]
    classifier = keras.Model(inputs, keras.layers.Dense(2)(hidden))
    classifier.compile(keras.optimizers.SGD(0.1), "mse")
    (layer,) = gated_layers(classifier)
    before = ops.convert_to_numpy(layer.gate.network.scaled_bias).copy()
    assert np.isfinite(classifier.train_on_batch(x, np.ones((2, 2))))
    assert np.any(ops.convert_to_numpy(layer.gate.network.scaled_bias) != before)
    assert kdg.count_macs(classifier).not_counted == []


# Dense and executed: 3 x 8 x 32, of which a quarter is open, on both sides of the closed units.
CLOSED = (3 * 8 * 32, 3 * 8 * 8)
SCORES = (144, 144)  # 3 x 3 scores and as many weighted values, of 8 features each
MACS = {
    "BertBackbone": {
        "self_attention_layer": (4 * 192 + 144, 4 * 192 + 144),
        "feedforward_intermediate_dense": CLOSED,
        "feedforward_output_dense": CLOSED,
        "pooled_dense": (64, 64),
    },
    "GPT2Backbone": {
        "self_attention/query": (192, 192),  # 3 x 8 x 8
        "self_attention/key": (192, 192),
        "self_attention/value": (192, 192),
        "self_attention": SCORES,
        "self_attention/attention_output": (192, 192),
        "feedforward_intermediate_dense": CLOSED,
        "feedforward_output_dense": CLOSED,
    },
    "LlamaBackbone": {
        "self_attention/query": (192, 192),
        # One head of 4 features serves both heads of the queries.
        "self_attention/key": (96, 96),
        "self_attention/value": (96, 96),
        "self_attention": SCORES,
        "self_attention/attention_output": (192, 192),
        "feedforward_intermediate_dense": CLOSED,
        # It has no gates, but its units are multiplied by closed ones.
        "feedforward_gate_dense": CLOSED,
        "feedforward_output_dense": CLOSED,
    },
}


def test_macs_of_transformers_are_what_was_worked_out_by_hand(backbone):
    model = kdg.gate_model(backbone, gate="static")
    (layer,) = gated_layers(model)
    layer.gate.network.scaled_bias.assign([1.0] * 8 + [-1.0] * 24)
    report = kdg.count_macs(model, tokens(model))
    counted = {
        each.name.removeprefix("transformer_layer_0/"): (each.dense, each.executed)
        for each in report.layers
    }
    assert counted == MACS[type(backbone).__name__]
    assert report.not_counted == []


@pytest.mark.one_backend("torch")
def test_quantized_transformers_survive_saving(tmp_path):
    gated = kdg.gate_model(bert())
    x = tokens(gated)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras names each layer that has nothing to quantize
        gated.quantize("int8")
    assert gated_layers(gated)[0].dense.quantization_mode == "int8"
    gated.save(tmp_path / "gated.keras")
    loaded = keras.saving.load_model(tmp_path / "gated.keras")
    for got, wanted in zip(outputs(loaded, x), outputs(gated, x), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_what_compact_leaves_of_a_backbone_is_what_is_deliverable(backbone):
    x = tokens(backbone)
    gated = kdg.gate_model(backbone, gate="static", block_size=1)
    (layer,) = gated_layers(gated)
    layer.gate.network.scaled_bias.assign(np.linspace(-1, 1, 32))
    report = kdg.count_macs(gated, x)
    assert report.executed < report.dense == report.deliverable
    assert kdg.count_macs(kdg.compact(gated), x).dense == report.deliverable
    (reason,) = {each.not_delivered for each in report.layers} - {None}
    assert reason == "no rule says what a GatedComposite does to closed units"
