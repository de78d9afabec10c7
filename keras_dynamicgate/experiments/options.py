"""The options of a comparison on the command line, for the examples and for the command."""

import argparse
from collections.abc import Callable
from typing import Any

from keras_dynamicgate.experiments.families import FAMILIES
from keras_dynamicgate.experiments.runner import MODELS, TARGETS

QUICK_TARGETS = (0.3,)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `compare` to a parser.

    Args:
        parser: An `argparse.ArgumentParser`.
    """
    add_data_dir(parser)
    parser.add_argument(
        "--models",
        type=names,
        default=MODELS,
        metavar="A,B,...",
        help=f"of {', '.join(FAMILIES)}, each also with _distilled (default: {','.join(MODELS)})",
    )
    parser.add_argument(
        "--targets",
        type=_numbers,
        metavar="A,B,...",
        help="budgets of relative MACs (default: " + ",".join(map(str, TARGETS)) + "; quick: 0.3)",
    )
    add_seeds(parser, default=3)
    add_out(parser, "runs/TASK")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few epochs, one budget, one seed: a check that everything works",
    )


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the folder of the data."""
    parser.add_argument("--data-dir", help="folder with the original data (default: download them)")


def add_seeds(parser: argparse.ArgumentParser, default: int) -> None:
    """Add the option that says which seeds run."""
    parser.add_argument(
        "--seeds",
        type=_seeds,
        metavar="N or A,B,...",
        help="number of seeds, counted from 0, or, with a comma, the seeds: `1,2`, or `1,` for "
        f"seed 1 only (default: {default}; quick: 1)",
    )


def add_out(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the option that names the folder to write to."""
    parser.add_argument("--out", help=f"folder for results and pictures (default: {default})")


def as_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Turn parsed options into keyword arguments of `compare`.

    Args:
        options: The options that a parser with `add_options` parsed.

    Returns:
        Dict of `data_dir`, `models`, `targets`, `seeds`, `out` and `quick`.
    """
    return {
        "data_dir": options.data_dir,
        "models": options.models,
        "targets": options.targets or (QUICK_TARGETS if options.quick else TARGETS),
        "seeds": options.seeds or (1 if options.quick else 3),
        "out": options.out,
        "quick": options.quick,
    }


def parse(description: str | None) -> dict[str, Any]:
    """Read the options of an example script.

    Args:
        description: The docstring of the script.

    Returns:
        Dict of keyword arguments of `compare`.

    Examples:
        >>> import sys
        >>> sys.argv = ["digits.py", "--targets", "0.3", "--seeds", "1"]
        >>> arguments = keras_dynamicgate.experiments.parse("Compare models on digits.")
        >>> arguments["targets"], arguments["seeds"]
        ((0.3,), 1)
    """
    return as_arguments(read(description, add_options))


def read(
    description: str | None, add: Callable[[argparse.ArgumentParser], None]
) -> argparse.Namespace:
    """Read the options that `add` adds, under the docstring of a script."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add(parser)
    return parser.parse_args()


def names(text: str) -> tuple[str, ...]:
    """Read names with commas between them."""
    return tuple(part.strip() for part in text.split(","))


def _seeds(text: str) -> int | tuple[int, ...]:
    """Read a number of seeds or, if there is a comma, the seeds themselves."""
    parts = text.removesuffix(",").split(",")
    if all(part.strip().isdecimal() for part in parts):
        seeds = tuple(map(int, parts))
        if "," in text:
            return seeds
        if seeds[0] > 0:
            return seeds[0]
    raise argparse.ArgumentTypeError(
        f"must be a positive integer, or integers of at least 0 with commas, not {text!r}"
    )


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))
