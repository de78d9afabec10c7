"""`keras-dynamicgate drift`: what learning from drifted data recovers, and what it forgets."""

import argparse
import json

from keras_dynamicgate.cli.wrong_input import wrong_input
from keras_dynamicgate.experiments import TASKS, drift
from keras_dynamicgate.experiments.under_drift.options import add_options, as_arguments


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    text = "let update modes learn from drifted data and compare what they recover and forget"
    command = commands.add_parser("drift", help=text, description=f"{text.capitalize()}.")
    command.add_argument("task", choices=tuple(TASKS), help="the data set")
    add_options(command)
    command.add_argument("--json", action="store_true", help="print the results as well")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    with wrong_input():
        runs = drift(options.task, **as_arguments(options))
    if options.json:
        print(json.dumps(runs, indent=2))
