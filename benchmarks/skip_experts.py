"""What `skip_experts` saves: keras-hub's mixtures of experts before and after, side by side.

    python benchmarks/skip_experts.py                    # all installed backends in turn
    python benchmarks/skip_experts.py --backend jax --tokens 1 --json FILE

First the feed-forward layer of Qwen3-MoE with 64 experts of which 8 are chosen, 512 features and
256 hidden units, in float32, at several numbers of tokens; then `generate` of a Qwen3-MoE and a
Mixtral of 4 layers with random weights. Both run in turn on the same weights; the ratios are those
of the medians, so that other work on the machine slows both alike.
"""

import argparse
import statistics
import time

import each_backend
import json_lines

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--tokens", type=int, nargs="*", default=[1, 8, 64, 512])
parser.add_argument("--models", nargs="*", default=["qwen3_moe", "mixtral"])
parser.add_argument("--length", type=int, default=66, help="tokens, with a prompt of 2")
parser.add_argument("--rounds", type=int, default=9)
parser.add_argument("--json", metavar="FILE", help="append the numbers here, a line for each")
options = each_backend.parse(parser)

import keras
import keras_hub as hub
import numpy as np

import keras_dynamicgate as kdg

ATTENTION = {"num_query_heads": 8, "num_key_value_heads": 4}


def layer_model(count):
    """Make a model of the feed-forward layer of Qwen3-MoE alone, at a number of tokens."""
    decoder = hub.models.Qwen3MoeBackbone(
        vocabulary_size=8,
        num_layers=1,
        head_dim=8,
        hidden_dim=512,
        intermediate_dim=8,
        moe_intermediate_dim=256,
        num_experts=64,
        top_k=8,
        norm_top_k_prob=True,
        **ATTENTION,
    ).transformer_layers[0]
    inputs = keras.Input((count, 512), batch_size=1)
    return keras.Model(inputs, decoder.mlp(inputs)[0])


def qwen3_moe():
    backbone = hub.models.Qwen3MoeBackbone(
        vocabulary_size=1000,
        num_layers=4,
        head_dim=64,
        hidden_dim=512,
        intermediate_dim=1024,
        moe_intermediate_dim=256,
        num_experts=64,
        top_k=8,
        norm_top_k_prob=True,
        **ATTENTION,
    )
    return hub.models.Qwen3MoeCausalLM(backbone=backbone, preprocessor=None)


def mixtral():
    backbone = hub.models.MixtralBackbone(
        vocabulary_size=1000,
        num_layers=4,
        hidden_dim=512,
        intermediate_dim=1024,
        num_experts=8,
        top_k=2,
        sliding_window=512,
        **ATTENTION,
    )
    return hub.models.MixtralCausalLM(backbone=backbone, preprocessor=None)


def medians(before, after):
    """Give the median seconds of two functions, called in turn; the first calls are not timed."""
    times = ([], [])
    for number in range(options.rounds + 1):
        for function, own in zip((before, after), times, strict=True):
            begin = time.perf_counter()
            function()
            if number:
                own.append(time.perf_counter() - begin)
    return [statistics.median(own) for own in times]


def report(**row):
    row = {"backend": options.backend, **row}
    row["ratio"] = row["keras_hub_ms"] / row["skip_experts_ms"]
    print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    json_lines.append(options.json, row)


def pair(make):
    """Give a model as it is and one with the same weights and skipped experts."""
    keras.utils.set_random_seed(0)
    before, after = make(), make()
    after.set_weights(before.get_weights())
    return before, kdg.skip_experts(after)


for count in options.tokens:
    dense, skipping = pair(lambda count=count: layer_model(count))
    x = np.random.default_rng(0).normal(size=(1, count, 512)).astype("float32")
    difference = np.abs(dense.predict_on_batch(x) - skipping.predict_on_batch(x)).max()
    seconds = medians(
        lambda model=dense, x=x: model.predict_on_batch(x),
        lambda model=skipping, x=x: model.predict_on_batch(x),
    )
    report(
        what="layer",
        tokens=count,
        keras_hub_ms=1e3 * seconds[0],
        skip_experts_ms=1e3 * seconds[1],
        difference=float(difference),
    )

for name in options.models:
    dense, skipping = pair({"qwen3_moe": qwen3_moe, "mixtral": mixtral}[name])
    ids = np.ones((1, options.length), "int32")
    prompt = {"token_ids": ids, "padding_mask": ids * (np.arange(options.length) < 2)}
    for model in (dense, skipping):
        model.compile(sampler="greedy")

    def generate(model, prompt=prompt):
        return model.generate(dict(prompt), stop_token_ids=None)["token_ids"]

    same = bool(np.array_equal(generate(dense), generate(skipping)))
    seconds = medians(
        lambda model=dense: generate(model),
        lambda model=skipping: generate(model),
    )
    tokens = options.length - 2
    report(
        what=name,
        tokens=tokens,
        keras_hub_ms=1e3 * seconds[0] / tokens,
        skip_experts_ms=1e3 * seconds[1] / tokens,
        same_tokens=same,
    )
