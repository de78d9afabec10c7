"""`keras-dynamicgate compact`: a smaller model with the same outputs."""

import argparse
import pathlib
import sys

from keras_dynamicgate.cli.arguments import add_command, add_data, add_output, print_report
from keras_dynamicgate.cli.files import (
    check_output,
    load_array,
    load_model,
    load_model_for_one_array,
)
from keras_dynamicgate.cli.wrong_input import wrong_input
from keras_dynamicgate.graph.state import save_at_once


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    command = add_command(
        commands, "compact", run, "write a smaller model without the units that gates close"
    )
    add_output(command, "--out", "small.keras", "the smaller model")
    add_data(
        command,
        "inputs to judge input-dependent gates by: what they never open is removed as well "
        "(default: remove only what static gates close)",
    )
    command.add_argument(
        "--budget",
        type=float,
        help="relative MACs, for a model that was trained for several budgets (default: as it is)",
    )


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    check_output(options.out, ".keras", options.force)
    data = None if options.data is None else load_array(options.data)
    if data is None:
        model = load_model(options.model)
    else:
        model = load_model_for_one_array(options.model, data)
    from keras_dynamicgate.compaction.compact import compact_with_report

    with wrong_input():
        small, report = compact_with_report(model, data, budget=options.budget)
        save_at_once(small, pathlib.Path(options.out))
    if not report.layers:
        print("keras-dynamicgate: no units could be removed", file=sys.stderr)
    print_report(report, options, out=options.out)
