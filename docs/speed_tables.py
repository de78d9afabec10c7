"""The tables of `tables.py` that hold times, from the files that the benchmarks write."""

import json
import pathlib

from keras_dynamicgate.experiments.tables import markdown

RESULTS = pathlib.Path(__file__).parent / "results"


def first():
    """Lay out CIFAR-10 as one glance: what is gained and what a batch then takes."""
    rows = [
        [
            f"`{row['model']}` at {row['target']}" if row["target"] else "full network",
            row["way"],
            f"{100 * row['accuracy']:.1f} %",
            f"{row['open_ratio']:.2f}",
            f"{row['relative_macs']:.3f}",
            *(f"{time:#.2g}" for time in row["milliseconds"].values()),
        ]
        for row in json.loads((RESULTS / "first.json").read_text())["rows"]
    ]
    heads = [
        "model",
        "runs",
        "accuracy",
        "open ratio",
        "relative MACs",
        "1 image, ms",
        "256 images, ms",
    ]
    return markdown(heads, rows)


def engine():
    """Lay out what the engine skips of one feed-forward block, by what is open and batch size."""
    rows = [
        [
            f"{row['open']:.1%}".replace(".0%", "%").replace("%", " %"),
            str(row["batch_size"]),
            f"{row['dense_ms']:.2f} ({row['fastest_dense']})",
            f"{row['engine_ms']:.2f}",
            f"{row['ratio']:.2f}",
        ]
        for row in json.loads((RESULTS / "engine.json").read_text())
    ]
    heads = ["open", "batch", "fastest dense path, ms", "engine, ms", "times as fast"]
    return markdown(heads, rows)


def compacted():
    """Lay out how fast a compacted block is beside a dense one of its size, on each backend."""
    rows = [
        [
            backend,
            f"{row['open']:.0%}".replace("%", " %"),
            str(row["batch_size"]),
            *(f"{row['milliseconds'][name]:.2f}" for name in ("full", "masked", "compact")),
            *(
                f"{row['milliseconds'][name] / row['milliseconds']['small']:.2f}"
                for name in ("compact", "again")
            ),
        ]
        for backend, measured in json.loads((RESULTS / "compact.json").read_text()).items()
        for row in measured
    ]
    heads = ["backend", "open", "batch", "full, ms", "masked, ms", "compact, ms"]
    return markdown([*heads, "compact / dense of its size", "two such dense"], rows)


def skip_experts():
    """Lay out how fast mixtures of experts are that compute only the experts that were chosen."""
    names = {
        "layer": "layer",
        "qwen3_moe": "`generate`, Qwen3-MoE",
        "mixtral": "`generate`, Mixtral",
    }
    rows = [
        [
            names[row["what"]],
            row["backend"],
            str(row["tokens"]),
            *(f"{row[name]:.1f}" for name in ("keras_hub_ms", "skip_experts_ms")),
            f"{row['ratio']:.1f}",
        ]
        for row in json.loads((RESULTS / "skip_experts.json").read_text())
    ]
    heads = ["what", "backend", "tokens", "keras-hub, ms", "`skip_experts`, ms", "times as fast"]
    return markdown(heads, rows)


def language_model():
    """Lay out what gates by activation do to a pretrained language model."""
    rows = [
        [
            f"{row['open']:.0%}".replace("%", " %"),
            f"{row['perplexity']:.2f}",
            f"{100 * (row['perplexity'] / row['dense_perplexity'] - 1):+.1f} %",
            f"{row['relative_macs']:.3f}",
            f"{row['dense_tokens_a_second']:.1f}",
            f"{row['tokens_a_second']:.1f}",
        ]
        for row in json.loads((RESULTS / "language_model.json").read_text())
    ]
    heads = [
        "units open",
        "perplexity",
        "above dense",
        "relative MACs",
        "dense, tokens a second",
        "gated (masked), tokens a second",
    ]
    return markdown(heads, rows)


def trained_models():
    """Lay out how fast trained networks answer one input."""
    rows = []
    for row in json.loads((RESULTS / "trained_models.json").read_text()):
        times, accuracy = row["microseconds"], row["accuracy"]
        rows.append(
            [
                row["task"],
                " / ".join(f"{100 * accuracy[name]:.1f}" for name in ("gated", "narrow", "full")),
                *(f"{times[name]:.1f}" for name in ("engine", "narrow")),
                f"{times['equal']:.1f} ({row['equal_budget']:g})",
                f"{times['full']:.1f}",
                f"{times['full'] / times['engine']:.1f}",
            ]
        )
    heads = [
        "data set",
        "accuracy in %, gated / narrow / full",
        "engine",
        "narrow, same MACs",
        "narrow, as accurate (its MACs)",
        "full",
        "times as fast as full",
    ]
    return markdown(heads, rows)


def governor():
    """Lay out what a governor makes of a bursty day, beside fixed budgets."""
    result = json.loads((RESULTS / "governor.json").read_text())
    fixed = result["fixed"]
    equal = max(
        (row for row in fixed if row["held"] >= result["held"]), key=lambda r: r["accuracy"]
    )
    named = {
        "governor": result,
        "fixed at the largest": fixed[-1],
        "fixed, the best that holds as many": equal,
        "fixed at the smallest": fixed[0],
    }
    rows = [
        [
            name,
            f"{row['budget']:.2f}" if "budget" in row else "",
            f"{row['ms']:.2f}" if "ms" in row else "",
            f"{100 * row['held']:.1f} %",
            f"{100 * row['accuracy']:.2f} %",
        ]
        for name, row in named.items()
    ]
    held = f"held of the {result['can_be_held']:.0%} of minutes that can be".replace("%", " %")
    return markdown(["served by", "budget", "ms a request", held, "mean accuracy"], rows)
