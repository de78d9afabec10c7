"""Arguments that several commands share, so that their names and words are the same in all."""

import argparse
import json
from collections.abc import Callable
from typing import Any


def add_command(
    commands: argparse._SubParsersAction,
    name: str,
    run: Callable[[argparse.Namespace], None],
    text: str,
) -> argparse.ArgumentParser:
    """Add a command that takes a model.

    Args:
        commands: The result of `ArgumentParser.add_subparsers`.
        name: The name of the command.
        run: Function that takes the parsed options and runs the command.
        text: What the command does, for the help.

    Returns:
        The `ArgumentParser` of the command.
    """
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    command.add_argument("model", metavar="model.keras", help="model, saved with `model.save`")
    command.add_argument("--json", action="store_true", help="print JSON instead of tables")
    command.set_defaults(run=run)
    return command


def add_data(
    command: argparse.ArgumentParser, text: str = "inputs", required: bool = False
) -> None:
    """Add the option that names a file of inputs."""
    command.add_argument(
        "--data",
        required=required,
        metavar="x.npy",
        help=f"{text}, an array of shape (samples, ...), saved with `numpy.save`",
    )


def add_output(command: argparse.ArgumentParser, option: str, metavar: str, text: str) -> None:
    """Add the option that names the file to write, and the one that allows replacing it."""
    command.add_argument(option, required=True, metavar=metavar, help=text)
    command.add_argument("--force", action="store_true", help="replace the file if it exists")


def positive(text: str) -> int:
    """Read a positive integer."""
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a positive integer, not {text!r}")
    return int(text)


def print_report(report: Any, options: argparse.Namespace, **files: str) -> None:
    """Print a report as tables or as JSON.

    Args:
        report: An object with `to_dict` whose string is a table.
        options: The parsed options.
        **files: Names of the files that the command wrote, by their key in the JSON.
    """
    if options.json:
        print(json.dumps({**report.to_dict(), **files}, indent=2))
        return
    print(report)
    for path in files.values():
        print(f"Written to {path}")
