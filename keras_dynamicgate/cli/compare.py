"""`keras-dynamicgate compare`: gated models beside the networks that a user would pick instead."""

import argparse
import json

from keras_dynamicgate.cli.wrong_input import wrong_input
from keras_dynamicgate.experiments import TASKS, compare
from keras_dynamicgate.experiments.options import add_options, as_arguments


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    text = "train families of models on a data set at several budgets and compare them"
    command = commands.add_parser("compare", help=text, description=f"{text.capitalize()}.")
    command.add_argument("task", choices=tuple(TASKS), help="the data set")
    add_options(command)
    command.add_argument(
        "--json", action="store_true", help="print the results of all runs as well"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    with wrong_input():
        runs = compare(options.task, **as_arguments(options))
    if options.json:
        print(json.dumps(runs, indent=2))
