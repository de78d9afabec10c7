"""Mixtures of experts of keras_hub that compute only the experts that were chosen."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_dynamicgate as kdg

hub = pytest.importorskip("keras_hub", exc_type=ImportError)

# Attention to a single token.
pytestmark = pytest.mark.filterwarnings("ignore:[\\s\\S]*using a softmax over axis -1:UserWarning")

SIZES = {
    "vocabulary_size": 20,
    "num_layers": 1,
    "num_query_heads": 2,
    "num_key_value_heads": 1,
    "hidden_dim": 8,
}
EXPERTS = {"num_experts": 8, "top_k": 2}


def mixtral():
    return hub.models.MixtralBackbone(intermediate_dim=12, sliding_window=64, **SIZES, **EXPERTS)


def qwen3_moe():
    return hub.models.Qwen3MoeBackbone(
        intermediate_dim=16,
        moe_intermediate_dim=12,
        head_dim=4,
        norm_top_k_prob=True,
        **SIZES,
        **EXPERTS,
    )


def qwen_moe():
    return hub.models.QwenMoeBackbone(
        intermediate_dim=16,
        moe_intermediate_dim=12,
        shared_expert_intermediate_dim=12,
        norm_top_k_prob=False,
        **SIZES,
        **EXPERTS,
    )


def qwen3_5_moe():
    return hub.models.Qwen3_5MoeBackbone(
        head_dim=8,
        moe_intermediate_dim=12,
        shared_expert_intermediate_size=12,
        layer_types=["full_attention"],
        **SIZES,
        **EXPERTS,
    )


def gpt_oss():
    return hub.models.GptOssBackbone(
        intermediate_dim=12, head_dim=4, sliding_window=64, **SIZES, **EXPERTS
    )


def gemma4():
    return hub.models.Gemma4Backbone(
        intermediate_dim=16,
        head_dim=4,
        image_size=16,
        enable_moe_block=True,
        num_experts=8,
        expert_intermediate_dim=12,
        num_experts_per_token=2,
        **SIZES,
    )


FAMILIES = [mixtral, qwen3_moe, qwen_moe, qwen3_5_moe, gpt_oss, gemma4]


def with_random_weights(model):
    """Give every weight values that matter: some start as zeros or nearly so."""
    random = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(weight + random.normal(size=weight.shape) * 0.3)
    return model


def tokens(model, batch=2, length=3):
    ids = np.arange(batch * length).reshape(batch, length) % 20
    return {
        name: ids if name == "token_ids" else np.ones_like(ids)
        for name in model.input
        if name in ("token_ids", "padding_mask", "position_ids")
    }


@pytest.mark.parametrize("make", FAMILIES)
def test_every_family_computes_only_the_chosen_experts_and_gives_the_same_outputs(make):
    model = with_random_weights(make())
    x = tokens(model)
    before = model.predict_on_batch(x)
    assert kdg.skip_experts(model) is model
    np.testing.assert_allclose(model.predict_on_batch(x), before, atol=1e-5)


@pytest.mark.parametrize("make", FAMILIES)
def test_an_expert_that_no_token_chose_is_not_computed(make):
    model = kdg.skip_experts(with_random_weights(make()))
    (bank,) = (layer for layer in model._flatten_layers() if hasattr(layer, "cost"))
    x = tokens(model, batch=1, length=1)
    before = model.predict_on_batch(x)
    # Of what is not computed, not even a NaN reaches the outputs; of one that is, it does.
    poisoned = []
    for expert in range(8):
        values = [ops.convert_to_numpy(weight).copy() for weight in bank.weights]
        for weight, value in zip(bank.weights, values, strict=True):
            changed = value.copy()
            changed[expert] = np.nan
            weight.assign(changed)
        poisoned.append(not np.array_equal(model.predict_on_batch(x), before))
        for weight, value in zip(bank.weights, values, strict=True):
            weight.assign(value)
    assert sum(poisoned) == 2


@pytest.mark.parametrize("make", [mixtral, gemma4])
def test_the_saved_file_is_that_of_keras_hub(make, tmp_path):
    model = with_random_weights(make())
    x = tokens(model)
    config = model.get_config()
    kdg.skip_experts(model)
    assert model.get_config() == config
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert not any(hasattr(layer, "cost") for layer in loaded._flatten_layers())
    got, wanted = (each.predict_on_batch(x) for each in (loaded, model))
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_mixed_precision_is_as_before_up_to_its_rounding():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = mixtral()
    finally:
        keras.config.set_dtype_policy("float32")
    x = tokens(model)
    before, after = (
        ops.convert_to_numpy(ops.cast(each(x), "float32"))
        for each in (model, kdg.skip_experts(model))
    )
    np.testing.assert_allclose(after, before, atol=0.1)


def causal_lm(task, backbone):
    model = getattr(hub.models, task)(backbone=backbone, preprocessor=None)
    model.compile(sampler="greedy")
    return model


@pytest.mark.parametrize(
    ("task", "make"),
    [
        ("MixtralCausalLM", mixtral),
        pytest.param("Qwen3MoeCausalLM", qwen3_moe, marks=pytest.mark.one_backend("torch")),
        pytest.param("GptOssCausalLM", gpt_oss, marks=pytest.mark.one_backend("torch")),
    ],
)
def test_generate_chooses_the_same_tokens(task, make):
    model = causal_lm(task, with_random_weights(make()))
    ids = np.ones((1, 66), "int32")
    prompt = {"token_ids": ids, "padding_mask": ids * (np.arange(66) < 2)}
    before = model.generate(prompt, stop_token_ids=None)["token_ids"]
    after = kdg.skip_experts(model).generate(prompt, stop_token_ids=None)["token_ids"]
    np.testing.assert_array_equal(after, before)
    assert len(np.unique(before)) > 1


# Its embeddings for the output are weights that the backbone alone does not use.
@pytest.mark.filterwarnings("ignore:Gradients do not exist:UserWarning")
def test_training_goes_through_all_experts_as_before():
    x, losses = None, []
    for change in (lambda model: model, kdg.skip_experts):
        keras.utils.set_random_seed(0)
        model = change(mixtral())
        x = x or tokens(model)
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.train_on_batch(x, np.ones((2, 3, 8)))
        losses.append(model.train_on_batch(x, np.ones((2, 3, 8))))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)


def test_the_count_states_all_experts_and_those_that_run():
    model = mixtral()
    x = tokens(model)
    before = kdg.count_macs(model, x)
    report = kdg.count_macs(kdg.skip_experts(model), x)
    # Three products of 8 x 12 for each of 3 tokens: all 8 experts, and the 2 that are chosen.
    assert (before.executed, report.dense) == (before.dense, before.dense)
    assert report.dense - report.executed == (8 - 2) * 3 * (3 * 8 * 12)
    assert report.not_counted == []


def test_a_model_without_experts_is_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="plain")
    with pytest.raises(ValueError, match="Model 'plain' has no bank of experts"):
        kdg.skip_experts(model)
    with pytest.raises(ValueError, match="must be a built Keras model"):
        kdg.skip_experts(keras.Sequential([keras.layers.Dense(2)]))


class Unknown(keras.layers.Layer):
    """Experts that see each other: their hidden units are compared with those of the others."""

    def build(self, shape):
        self.into = self.add_weight(name="into", shape=(4, 8, 6))
        self.back = self.add_weight(name="back", shape=(4, 6, 8))

    def call(self, x):
        hidden = ops.einsum("th,ehm->etm", x, self.into)
        hidden = hidden - ops.mean(hidden, axis=0, keepdims=True)
        return ops.einsum("etm,emh->eth", hidden, self.back)


class Mixture(keras.layers.Layer):
    def build(self, shape):
        self.bank = Unknown(name="bank")
        self.bank.build((None, 8))
        self.router = keras.layers.Dense(4)
        self.router.build((None, 8))

    def call(self, x):
        flat = ops.reshape(x, (-1, 8))
        weights, chosen = ops.top_k(ops.softmax(self.router(flat)), 2)
        weights = ops.sum(ops.one_hot(chosen, 4) * weights[..., None], axis=1)
        outputs = ops.sum(self.bank(flat) * ops.transpose(weights)[:, :, None], axis=0)
        return ops.reshape(outputs, (-1, ops.shape(x)[1], 8))


def test_experts_of_an_unknown_form_are_named_and_nothing_is_changed():
    backbone = mixtral()
    hidden = backbone.output
    model = keras.Model(backbone.input, Mixture(name="mixture")(hidden))
    with pytest.raises(ValueError, match=r"Layer 'mixture/bank' \(Unknown\).*not independent"):
        kdg.skip_experts(model)
    assert not any(hasattr(layer, "cost") for layer in model._flatten_layers())
    assert not any("call" in vars(layer) for layer in model._flatten_layers())
