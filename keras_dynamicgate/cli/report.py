"""`keras-dynamicgate report`: a web page, in one file, on what the gates of a saved model do."""

import argparse

from keras_dynamicgate.cli.arguments import add_command, add_data, add_output, print_report
from keras_dynamicgate.cli.files import (
    check_output,
    load_array,
    load_json,
    load_model_for_one_array,
    load_names,
)
from keras_dynamicgate.cli.wrong_input import wrong_input
from keras_dynamicgate.reports import html_report


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    command = add_command(
        commands, "report", run, "write a web page on what the gates of a model do"
    )
    add_data(command, required=True)
    command.add_argument(
        "--labels", metavar="y.npy", help="integer labels, an array of shape (samples,)"
    )
    command.add_argument(
        "--class-names",
        metavar="a,b,c|names.txt",
        help="names of the classes, separated by commas or the lines of a file",
    )
    command.add_argument(
        "--results",
        metavar="results.json",
        help="results of a comparison, drawn as accuracy against relative MACs",
    )
    add_output(command, "--html", "report.html", "the page")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    check_output(options.html, ".html", options.force)
    data = load_array(options.data)
    labels = None if options.labels is None else load_array(options.labels, "labels")
    names = None if options.class_names is None else load_names(options.class_names)
    results = None if options.results is None else load_json(options.results)
    model = load_model_for_one_array(options.model, data)

    with wrong_input():
        report = html_report(
            model, data, labels, class_names=names, results=results, path=options.html
        )
    print_report(report, options, html=options.html)
