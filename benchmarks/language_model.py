"""What gates do to a pretrained language model: SmolLM2-135M, perplexity and tokens a second.

    python benchmarks/language_model.py --backend jax --text wikitext2_test.txt \
        --calibrate wikitext2_valid.txt --json FILE

Gates by activation, with nothing trained: perplexity on windows of 512 tokens, relative MACs of the
whole model, and tokens a second of `generate`, dense and gated in turn on the same prompt.
"""

import argparse
import pathlib
import statistics
import time

import each_backend
import json_lines

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--text", type=pathlib.Path, required=True, help="text to tell perplexity on")
parser.add_argument("--calibrate", type=pathlib.Path, required=True, help="text to set gates by")
parser.add_argument("--open", type=float, nargs="*", default=[0.9, 0.8, 0.7, 0.5])
parser.add_argument("--windows", type=int, default=4)
parser.add_argument("--length", type=int, default=64, help="tokens, with a prompt of 5")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--json", metavar="FILE", help="append the numbers here, a line for each")
options = each_backend.parse(parser)

import numpy as np
import smollm2

import keras_dynamicgate as kdg

WINDOW = 512
PROMPT = "The capital of France is"


def inputs(ids):
    return {"token_ids": ids, "padding_mask": np.ones_like(ids)}


def windows(tokenizer, path, count):
    """Cut the first windows out of a text."""
    # A token of English is about four letters long.
    ids = tokenizer.encode(path.read_text()[: 8 * WINDOW * count]).ids
    return np.array(ids[: WINDOW * count]).reshape(count, WINDOW)


def perplexity(model, ids):
    losses = []
    for window in ids[:, None]:
        logits = np.asarray(model.predict_on_batch(inputs(window)), "float32")[0, :-1]
        logits -= logits.max(axis=-1, keepdims=True)
        own = np.take_along_axis(logits, window[0, 1:, None], axis=-1)[:, 0]
        losses.append((np.log(np.exp(logits).sum(axis=-1)) - own).mean())
    return float(np.exp(np.mean(losses)))


def speed(models, tokenizer):
    """Give the tokens a second of each model, in turn, and what it says."""
    prompt = tokenizer.encode(PROMPT).ids
    ids = np.zeros((1, options.length), "int32")
    ids[0, : len(prompt)] = prompt
    known = np.arange(options.length)[None] < len(prompt)
    times, texts = [[] for _ in models], []
    for model in models:
        model.compile(sampler="greedy")
    for turn in range(options.rounds + 1):
        for model, taken in zip(models, times, strict=True):
            start = time.perf_counter()
            made = model.generate({"token_ids": ids, "padding_mask": known}, stop_token_ids=None)
            if turn:  # the first call compiles
                taken.append(time.perf_counter() - start)
            else:
                texts.append(tokenizer.decode(made["token_ids"][0].tolist()))
    new = options.length - len(prompt)
    return [new / statistics.median(taken) for taken in times], texts


def main():
    model, tokenizer = smollm2.load()
    test = windows(tokenizer, options.text, options.windows)
    data = inputs(windows(tokenizer, options.calibrate, 1))
    dense = perplexity(model, test)
    print(f"dense: perplexity {dense:.2f}", flush=True)
    for share in options.open:
        gate = kdg.ActivationGate(open_ratio=share)
        gated = kdg.gate_model(model, gate=gate, calibration_data=data)
        found = perplexity(gated, test)
        relative = kdg.count_macs(gated, inputs(test[:1])).relative
        speeds, texts = speed([model, gated], tokenizer)
        row = {
            "backend": options.backend,
            "open": share,
            "dense_perplexity": dense,
            "perplexity": found,
            "relative_macs": relative,
            "dense_tokens_a_second": speeds[0],
            "tokens_a_second": speeds[1],
            "text": texts[1],
        }
        print(row, flush=True)
        json_lines.append(options.json, row)


if __name__ == "__main__":
    main()
