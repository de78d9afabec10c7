"""The command `keras-dynamicgate`."""

import argparse
import json
import sys

WRONG_INPUT = 2


class WrongInput(Exception):
    """What the user gave cannot be used; the message says why."""


def main(arguments=None):
    """Run the command line.

    Args:
        arguments: List of strings. Defaults to `None`: those that the process was started with.

    Returns:
        Integer, the exit code: 0, or 2 where a file or an argument cannot be used.

    Examples:
        >>> main(["benchmark", "model.keras", "--data", "x.npy"])  # doctest: +SKIP
        0
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except WrongInput as error:
        print(f"keras-dynamicgate: {error}", file=sys.stderr)
        return WRONG_INPUT


def _parser():
    parser = argparse.ArgumentParser(
        prog="keras-dynamicgate", description="Tools for gated Keras models."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_benchmark(commands)
    return parser


def _add_benchmark(commands):
    command = commands.add_parser(
        "benchmark",
        help="measure a saved model: dense, masked, compact and on the engine, side by side",
    )
    command.add_argument("model", help="model file, .keras")
    command.add_argument("--data", required=True, help="inputs, .npy, of shape (samples, ...)")
    command.add_argument(
        "--batch-sizes",
        type=_sizes,
        default=(1, 8, 64, 256, 1024),
        metavar="1,8,...",
        help="batch sizes, separated by commas (default: 1,8,64,256,1024)",
    )
    command.add_argument("--threads", type=_positive, help="threads of the engine (default: all)")
    command.add_argument(
        "--seconds", type=float, default=2.0, help="time for each batch size (default: 2)"
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    command.set_defaults(run=_benchmark)


def _benchmark(options):
    # Keras loads with the first of these lines, which `--help` need not wait for.
    from keras_dynamicgate.inference.benchmark import benchmark

    data, model = _data(options.data), _model(options.model)
    try:
        report = benchmark(
            model, data, options.batch_sizes, threads=options.threads, seconds=options.seconds
        )
    except ValueError as error:
        raise WrongInput(str(error)) from error
    print(json.dumps(report.to_dict(), indent=2) if options.json else report)
    return 0


def _data(path):
    import numpy as np

    try:
        data = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise WrongInput(f"cannot read inputs from {path!r}: {error}") from error
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "biuf":
        raise WrongInput(f"{path!r} must hold one array of numbers, saved with `numpy.save`")
    return data


def _model(path):
    import keras

    import keras_dynamicgate  # noqa: F401  (its layers must be known before the file is read)

    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise WrongInput(f"cannot load the model {path!r}: {error}") from error


def _positive(text):
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a positive integer, not {text!r}")
    return int(text)


def _sizes(text):
    return tuple(_positive(part.strip()) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
