"""`keras-dynamicgate benchmark`: how many milliseconds the gates of a saved model save."""

import argparse
import math

from keras_dynamicgate.cli.arguments import add_command, add_data, positive, print_report
from keras_dynamicgate.cli.files import load_array, load_model_for_one_array
from keras_dynamicgate.cli.wrong_input import wrong_input


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    command = add_command(
        commands,
        "benchmark",
        run,
        "measure a model: dense, masked, compact and on the engine, side by side",
    )
    add_data(command, required=True)
    command.add_argument(
        "--batch-sizes",
        type=_sizes,
        default=(1, 8, 64, 256, 1024),
        metavar="1,8,...",
        help="batch sizes, separated by commas (default: 1,8,64,256,1024)",
    )
    command.add_argument("--threads", type=positive, help="threads of the engine (default: all)")
    command.add_argument(
        "--seconds", type=_seconds, default=2.0, help="time for each batch size (default: 2)"
    )


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    data = load_array(options.data)
    model = load_model_for_one_array(options.model, data)
    from keras_dynamicgate.benchmarking.benchmark import benchmark

    with wrong_input():
        report = benchmark(
            model, data, options.batch_sizes, threads=options.threads, seconds=options.seconds
        )
    print_report(report, options)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(positive(part.strip()) for part in text.split(","))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of at least 0, not {text!r}")
    return seconds
