"""A small language model whose feed-forward blocks are gated for each character.

    python examples/text_transformer.py                 # fetches Tiny Shakespeare
    python examples/text_transformer.py --text tiny_shakespeare.txt --seeds 3

A transformer with two blocks learns to write Shakespeare, character by character. A quarter of its
hidden units may run for each character. Which spend it best: a narrower network, static gates, a
mixture of experts, or gates that decide by the character, by rank or by a budget?
"""

import argparse
import json
import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
from keras import layers, ops
from rich.console import Console
from rich.table import Table

import keras_dynamicgate as kdg
from keras_dynamicgate import baselines, experiments

URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
BLOCKS, WIDTH, HIDDEN, HEADS, WINDOW, BATCH = 2, 128, 1024, 4, 128, 32
GATES = {"gate": "low_rank", "block_size": 32}
STATIC = {"gate": "static", "block_size": 1}


def gated(**settings):
    return lambda name: kdg.DynamicGateMLP(HIDDEN, WIDTH, "gelu", name=name, **settings)


def dense(hidden):
    return lambda name: kdg.DynamicGateMLP(hidden, WIDTH, "gelu", gate=None, name=name)


def experts(name):
    return baselines.SwitchMoE(4, HIDDEN // 4, WIDTH, top_k=1, activation="gelu", name=name)


# What each is built of, and whether a budget steers it to what `ranked gates` cost.
MODELS = {
    "full": (dense(HIDDEN), False),
    "narrow": (dense(HIDDEN // 4), False),
    "experts": (experts, False),
    "ranked gates": (gated(**GATES, top_k=8), False),
    "static gates": (gated(**STATIC), True),
    "budgeted gates": (gated(**GATES), True),
    "balanced gates": (gated(**GATES, balance=0.1), True),
}


def transformer(characters, feed_forward):
    """Build a model that tells the next character at each place of a window."""
    inputs = keras.Input((WINDOW,), dtype="int32")
    places = ops.cumsum(ops.ones_like(inputs), axis=1) - 1
    x = layers.Embedding(characters, WIDTH, name="characters")(inputs)
    x = layers.Add()([x, layers.Embedding(WINDOW, WIDTH, name="places")(places)])
    for number in range(1, BLOCKS + 1):
        normal = layers.LayerNormalization()(x)
        attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"attention{number}")
        x = layers.Add()([x, attention(normal, normal, use_causal_mask=True)])
        normal = layers.LayerNormalization()(x)
        x = layers.Add()([x, feed_forward(f"feed_forward{number}")(normal)])
    return keras.Model(inputs, layers.Dense(characters)(layers.LayerNormalization()(x)))


def windows(codes, starts):
    """Cut out windows and the characters that follow each of their places."""
    rows = starts[:, None] + np.arange(WINDOW + 1)
    return codes[rows[:, :-1]], codes[rows[:, 1:]]


def train(model, codes, steps, seed, budget):
    """Train a model and give its loss, in nats a character, on text that it has not seen."""
    learned, unseen = np.split(codes, [len(codes) * 9 // 10])
    starts = np.random.default_rng(seed).integers(0, len(learned) - WINDOW, steps * BATCH)
    held_out = windows(unseen, np.arange(0, len(unseen) - WINDOW, WINDOW))
    rate = experiments.OneCycle(3e-3, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=0.1), loss)
    callbacks = [kdg.MacBudget(budget)] if budget else []
    model.fit(*windows(learned, starts), BATCH, verbose=2, shuffle=False, callbacks=callbacks)
    return model.evaluate(*held_out, verbose=0), kdg.count_macs(model, held_out[0])


def main():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--text", type=pathlib.Path, help="a text; without it one is fetched")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--quick", action="store_true", help="few steps: see that all works")
    parser.add_argument("--json", type=pathlib.Path, help="append the numbers here")
    options = parser.parse_known_args()[0]
    path = options.text or pathlib.Path(keras.utils.get_file("tiny_shakespeare.txt", URL))
    characters, codes = np.unique(list(path.read_text()), return_inverse=True)
    codes = codes[: 4 * WINDOW * BATCH if options.quick else None].astype("int32")
    full = kdg.count_macs(transformer(len(characters), MODELS["full"][0])).dense
    ranked = transformer(len(characters), MODELS["ranked gates"][0])
    target = kdg.count_macs(ranked, codes[None, :WINDOW]).relative
    table = Table("model", "loss", "relative MACs", "varying", title="Tiny Shakespeare")
    for seed in range(options.seeds):
        for name in options.models:
            keras.utils.set_random_seed(seed)
            feed_forward, budgeted = MODELS[name]
            model = transformer(len(characters), feed_forward)
            steps = 5 if options.quick else options.steps
            loss, report = train(model, codes, steps, seed, budgeted and target)
            relative = (report.executed + report.gates) / full
            row = {"model": name, "seed": seed, "loss": loss, "relative_macs": relative}
            if options.json:
                with options.json.open("a") as file:
                    file.write(json.dumps({**row, "varying": report.varying}) + "\n")
            varying = "" if report.varying is None else f"{report.varying:.2f}"
            table.add_row(name, f"{loss:.3f}", f"{relative:.3f}", varying)
    Console().print(table)


if __name__ == "__main__":
    main()
