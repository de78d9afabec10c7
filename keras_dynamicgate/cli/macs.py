"""`keras-dynamicgate macs`: the cost of a saved model."""

import argparse

from keras_dynamicgate.cli.arguments import add_command, add_data, print_report
from keras_dynamicgate.cli.files import load_array, load_model, load_model_for_one_array
from keras_dynamicgate.cli.wrong_input import wrong_input
from keras_dynamicgate.counting.count import count_macs


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    command = add_command(
        commands, "macs", run, "count the multiply-accumulates of a model, layer by layer"
    )
    add_data(command, "inputs to average masks over (default: masks as in the last training batch)")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    data = None if options.data is None else load_array(options.data)
    if data is None:
        model = load_model(options.model)
    else:
        model = load_model_for_one_array(options.model, data)

    with wrong_input():
        report = count_macs(model, data)
    print_report(report, options)
