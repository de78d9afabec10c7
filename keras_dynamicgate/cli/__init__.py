"""The command `keras-dynamicgate`."""

import argparse
import sys
from collections.abc import Sequence

import keras_dynamicgate
from keras_dynamicgate.cli import benchmark, compact, compare, drift, macs, report
from keras_dynamicgate.cli.wrong_input import WrongInput

COMMANDS = (macs, compact, benchmark, report, compare, drift)
WRONG_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: List of strings. Defaults to `None`: the arguments of the process.

    Returns:
        Integer, the exit code: 0, or 2 if a file or an argument cannot be used.

    Examples:
        >>> main(["macs", "model.keras", "--data", "x.npy"])  # doctest: +SKIP
        0
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except WrongInput as error:
        print(f"keras-dynamicgate: {error}", file=sys.stderr)
        return WRONG_INPUT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keras-dynamicgate",
        description="Tools for gated Keras models.",
        epilog="The environment variable KERAS_BACKEND chooses tensorflow, jax or torch.",
    )
    version = f"%(prog)s {keras_dynamicgate.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser
