"""Task models of keras_hub stay whole: class, `generate`, LoRA, quantization and files."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

import keras_dynamicgate as kdg
from keras_dynamicgate.layers.gated_layer import gated_layers

hub = pytest.importorskip("keras_hub", exc_type=ImportError)

pytestmark = pytest.mark.filterwarnings("ignore:The gate network of layer:UserWarning")

SIZES = {"vocabulary_size": 20, "num_layers": 1, "hidden_dim": 8, "intermediate_dim": 32}


def gpt2():
    backbone = hub.models.GPT2Backbone(num_heads=2, max_sequence_length=16, **SIZES)
    return hub.models.GPT2CausalLM(backbone=backbone, preprocessor=None)


def llama(**options):
    # Whether its embeddings are tied is not in the config that keras_hub writes.
    backbone = hub.models.LlamaBackbone(
        num_query_heads=2, num_key_value_heads=1, tie_word_embeddings=True, **SIZES, **options
    )
    return hub.models.LlamaCausalLM(backbone=backbone, preprocessor=None)


def tokens():
    ids = np.array([[5, 6, 7, 0, 0], [1, 2, 0, 0, 0]])
    return {"token_ids": ids, "padding_mask": (ids > 0).astype("int32")}


def generated(model):
    model.compile(sampler="greedy")
    return model.generate(tokens(), stop_token_ids=None)["token_ids"]


def check_greedy(model):
    """What the model generates with its cache is most likely for the model without one, too."""
    ids = generated(model)
    best = ops.convert_to_numpy(model({"token_ids": ids, "padding_mask": np.ones_like(ids)}))
    best = best.argmax(axis=-1)[:, :-1]
    picked = tokens()["token_ids"][:, 1:] == 0
    np.testing.assert_array_equal(ids[:, 1:][picked], best[picked])


def close_half(model):
    for layer in gated_layers(model):
        layer.gate.network.scaled_bias.assign(np.linspace(-1, 1, 32))


def logits(model):
    return ops.convert_to_numpy(model(tokens()))


@pytest.mark.parametrize("make", [gpt2, llama])
def test_a_language_model_generates_with_its_gates_also_when_loaded(make, tmp_path):
    model = make()
    gated = kdg.gate_model(model)
    assert isinstance(gated, type(model))
    assert isinstance(gated.backbone, type(model.backbone))
    np.testing.assert_array_equal(generated(gated), generated(model))
    close_half(gated)
    check_greedy(gated)
    gated.save(tmp_path / "gated.keras")
    loaded = keras.saving.load_model(tmp_path / "gated.keras", compile=False)
    assert isinstance(loaded, type(model))
    np.testing.assert_array_equal(logits(loaded), logits(gated))
    gated.save_weights(tmp_path / "gated.weights.h5")
    again = kdg.gate_model(make())
    again.load_weights(tmp_path / "gated.weights.h5")
    np.testing.assert_array_equal(logits(again), logits(gated))


def test_a_copy_picks_its_next_word_as_the_original_and_is_compiled():
    model = gpt2()
    model.compile(sampler=hub.samplers.TopKSampler(k=2, seed=3))
    gated = kdg.gate_model(model)
    assert gated.compiled
    assert (gated.sampler.k, gated.sampler.seed) == (2, 3)
    assert gated.sampler is not model.sampler


def test_what_prepares_texts_is_kept():
    vocabulary = {"<|endoftext|>": 0, "a": 1, "b": 2, "ab": 3}
    tokenizer = hub.models.GPT2Tokenizer(vocabulary=vocabulary, merges=["a b"])
    preprocessor = hub.models.GPT2CausalLMPreprocessor(tokenizer, sequence_length=8)
    model = hub.models.GPT2CausalLM(backbone=gpt2().backbone, preprocessor=preprocessor)
    gated = kdg.gate_model(model)
    assert gated.preprocessor is preprocessor


def test_a_classifier_with_gates_on_its_own_layers_stays_one(tmp_path):
    backbone = hub.models.BertBackbone(num_heads=2, max_sequence_length=8, **SIZES)
    model = hub.models.BertTextClassifier(backbone=backbone, num_classes=3, dropout=0.0)
    x = {**tokens(), "segment_ids": tokens()["token_ids"] * 0}
    gated = kdg.gate_model(model, layers=["pooled_dense"])
    assert isinstance(gated, hub.models.BertTextClassifier)
    assert type(gated.backbone.pooled_dense) is kdg.DynamicGateDense
    gated.save(tmp_path / "gated.keras")
    loaded = keras.saving.load_model(tmp_path / "gated.keras", compile=False)
    wanted = ops.convert_to_numpy(gated(x))
    np.testing.assert_allclose(wanted, ops.convert_to_numpy(model(x)), atol=1e-5)
    np.testing.assert_array_equal(ops.convert_to_numpy(loaded(x)), wanted)


def test_loras_are_added_to_a_gated_backbone_and_trained():
    gated = kdg.gate_model(gpt2())
    gated.backbone.enable_lora(2)
    query = next(each for each in gated.backbone._flatten_layers() if each.name == "query")
    assert query.lora_enabled
    x = tokens()
    gated.train_on_batch(x, np.roll(x["token_ids"], -1, axis=1))
    assert np.any(ops.convert_to_numpy(query.lora_kernel_b) != 0)


@pytest.mark.filterwarnings("ignore:.*The use of `x.T`")  # by Keras on PyTorch
def test_a_quantized_language_model_is_saved_and_loaded(tmp_path):
    gated = kdg.gate_model(llama())
    close_half(gated)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras names each layer that has nothing to quantize
        gated.quantize("int8")
    gated.save(tmp_path / "gated.keras")
    loaded = keras.saving.load_model(tmp_path / "gated.keras", compile=False)
    np.testing.assert_array_equal(logits(loaded), logits(gated))


def test_dtype_policies_by_path_are_kept(tmp_path):
    policies = keras.dtype_policies.DTypePolicyMap(default_policy="float32")
    policies["transformer_layer_0/feedforward_gate_dense"] = keras.DTypePolicy("mixed_bfloat16")
    gated = kdg.gate_model(llama(dtype=policies))
    gated.save(tmp_path / "gated.keras")
    loaded = keras.saving.load_model(tmp_path / "gated.keras", compile=False)
    (block,) = loaded.backbone.transformer_layers
    assert block.composite._feedforward_gate_dense.compute_dtype == "bfloat16"
    np.testing.assert_array_equal(logits(loaded), logits(gated))


def test_a_quantized_language_model_is_gated_where_it_is_not_quantized():
    model = llama()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.backbone.transformer_layers[0]._self_attention_layer._query_dense.quantize("int8")
    gated = kdg.gate_model(model)
    np.testing.assert_allclose(logits(gated), logits(model), atol=1e-5)


def test_gates_by_activation_leave_open_what_was_asked_for_and_need_no_training(tmp_path):
    model = llama()
    gated = kdg.gate_model(
        model, gate=kdg.ActivationGate(open_ratio=0.25), calibration_data=tokens()
    )
    (layer,) = gated_layers(gated)
    assert layer.path == "transformer_layer_0/feedforward_gate_dense"
    assert layer.gate.network.activation == "silu"
    report = kdg.count_macs(gated, tokens())
    counted = {each.name.split("/")[-1]: each for each in report.layers}
    # 10 positions x 32 units: a quarter of them are 80.
    executed = counted["feedforward_gate_dense"].executed
    assert executed == counted["feedforward_gate_dense"].dense == 5 * 8 * 32
    assert counted["feedforward_intermediate_dense"].executed == 5 * 8 * 32 / 4
    assert counted["feedforward_output_dense"].executed == 5 * 8 * 32 / 4
    assert report.gates == 0
    gated.save(tmp_path / "gated.keras")
    loaded = keras.saving.load_model(tmp_path / "gated.keras", compile=False)
    np.testing.assert_array_equal(logits(loaded), logits(gated))


def test_gates_by_activation_need_data_and_an_activation():
    with pytest.raises(ValueError, match="`calibration_data` must hold inputs of the model"):
        kdg.gate_model(llama(), gate="activation")
    with pytest.raises(ValueError, match="as in SwiGLU; model 'gpt2_causal_lm' has"):
        kdg.gate_model(gpt2(), gate="activation", calibration_data=tokens())
