"""What a comparison of gated networks with a narrow one comes to, in sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

from keras_dynamicgate.experiments.tables import Line

GATED = ("static", "dynamic")
REFERENCE = "narrow"


def accuracy_sentence(summary: Sequence[Line], runs: Sequence[Mapping[str, Any]]) -> str:
    """Say what gates gain over the network that was made narrower to the same cost.

    Args:
        summary: List of `Line`, from `summarise`, with `narrow`, `static` and `dynamic` at one
            budget.
        runs: List of dicts as `compare` returns them, of which `summary` was made.

    Returns:
        The sentence; with several seeds it says in how many of them the gain is larger than both
        standard deviations together.
    """
    lines = {line.model: line for line in summary}
    right = {name: 100 * line.mean["accuracy"] for name, line in lines.items()}
    gains = " and ".join(f"{right[gated] - right[REFERENCE]:+.1f}" for gated in GATED)
    said = (
        f"At {lines[REFERENCE].target:g} of the multiply-accumulates the gated networks get "
        f"{right['static']:.1f} % (static) and {right['dynamic']:.1f} % (dynamic) of the test "
        f"samples right and the narrow one {right[REFERENCE]:.1f} %: {gains} points at equal cost"
    )
    if lines[REFERENCE].seeds > 1:
        counts = (f"{gated} {_seeds_above(gated, lines, runs)}" for gated in GATED)
        said += f", above narrow by more than both deviations: {', '.join(counts)}"
    return f"{said}."


def _seeds_above(gated: str, lines: Mapping[str, Line], runs: Sequence[Mapping[str, Any]]) -> str:
    """Count the seeds in which a family beats the narrow one by more than both spreads."""
    spread = lines[gated].deviation["accuracy"] + lines[REFERENCE].deviation["accuracy"]
    right = {(run["model"], run["seed"]): run["accuracy"] for run in runs}
    seeds = sorted({run["seed"] for run in runs})
    above = sum(right[gated, seed] - right[REFERENCE, seed] > spread for seed in seeds)
    return f"in {above} of {len(seeds)} seeds"


def time_sentence(milliseconds: Mapping[str, float]) -> str:
    """Say what a sample takes on each network.

    Args:
        milliseconds: Dict of milliseconds for one sample of `dropout` (the full network),
            `narrow`, `static` (compacted) and `dynamic` (on the engine).

    Returns:
        The sentence.

    Examples:
        >>> times = {"dropout": 0.2, "narrow": 0.1, "static": 0.1, "dynamic": 0.05}
        >>> time_sentence(times).rpartition(": ")[2]
        '2.0 and 4.0 times as fast as the full network.'
    """
    full, narrow, static, dynamic = (
        milliseconds[name] for name in ("dropout", REFERENCE, "static", "dynamic")
    )
    return (
        f"One sample takes {full:.3f} ms on the full network, {narrow:.3f} ms on the narrow one, "
        f"{static:.3f} ms compacted (static) and {dynamic:.3f} ms on the engine (dynamic): "
        f"{full / static:.1f} and {full / dynamic:.1f} times as fast as the full network."
    )
