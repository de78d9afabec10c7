"""The options of a comparison under drift, for the example and for the command."""

import argparse
from typing import Any

from keras_dynamicgate.experiments.options import add_data_dir, add_out, add_seeds, names, read
from keras_dynamicgate.experiments.under_drift.kinds import DRIFTS
from keras_dynamicgate.experiments.under_drift.runner import MODES, SEEDS
from keras_dynamicgate.experiments.under_drift.students import STUDENTS


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `drift` to a parser.

    Args:
        parser: An `argparse.ArgumentParser`.
    """
    parser.add_argument(
        "--kind",
        choices=tuple(DRIFTS),
        default="noise",
        help="what becomes of the data: noise and blur, a quarter turn of the images, or an "
        "exchange of the labels of two classes (default: noise)",
    )
    parser.add_argument(
        "--modes",
        type=names,
        default=MODES,
        metavar="A,B,...",
        help=f"of {', '.join(STUDENTS)} (default: {','.join(MODES)})",
    )
    add_data_dir(parser)
    add_seeds(parser, default=SEEDS)
    add_out(parser, "runs/drift-TASK-KIND")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few epochs, a short stream, one seed: a check that everything works",
    )


def as_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Turn parsed options into keyword arguments of `drift`.

    Args:
        options: The options that a parser with `add_options` parsed.

    Returns:
        Dict of `kind`, `modes`, `data_dir`, `seeds`, `out` and `quick`.
    """
    return {
        "kind": options.kind,
        "modes": options.modes,
        "data_dir": options.data_dir,
        "seeds": options.seeds or (1 if options.quick else SEEDS),
        "out": options.out,
        "quick": options.quick,
    }


def parse_drift(description: str | None) -> dict[str, Any]:
    """Read the options of an example script that calls `drift`.

    Args:
        description: The docstring of the script.

    Returns:
        Dict of keyword arguments of `drift`.

    Examples:
        >>> import sys
        >>> sys.argv = ["plasticity.py", "--kind", "rotation", "--seeds", "1"]
        >>> arguments = keras_dynamicgate.experiments.parse_drift("Learn under drift.")
        >>> arguments["kind"], arguments["seeds"]
        ('rotation', 1)
    """
    return as_arguments(read(description, add_options))
