"""`keras-dynamicgate drift`: what learning from drifted data recovers, and what it forgets."""

import argparse
import json

from keras_dynamicgate.cli.wrong_input import wrong_input
from keras_dynamicgate.experiments import DRIFTS, STUDENTS, TASKS, drift
from keras_dynamicgate.experiments.options import add_data_dir, add_out, add_seeds, names


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    text = "let update modes learn from drifted data and compare what they recover and forget"
    command = commands.add_parser("drift", help=text, description=f"{text.capitalize()}.")
    command.add_argument("task", choices=tuple(TASKS), help="the data set")
    command.add_argument(
        "--kind",
        choices=tuple(DRIFTS),
        default="noise",
        help="what becomes of the data: noise and blur, a quarter turn of the images, or an "
        "exchange of the labels of two classes (default: noise)",
    )
    command.add_argument(
        "--modes",
        type=names,
        metavar="A,B,...",
        help=f"of {', '.join(STUDENTS)} (default: the update modes and two dense models)",
    )
    add_data_dir(command)
    add_seeds(command, default=5)
    add_out(command, "runs/drift-TASK-KIND")
    command.add_argument(
        "--quick",
        action="store_true",
        help="few epochs, a short stream, one seed: a check that everything works",
    )
    command.add_argument("--json", action="store_true", help="print the results as well")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    given = {"modes": options.modes} if options.modes else {}
    with wrong_input():
        runs = drift(
            options.task,
            options.kind,
            data_dir=options.data_dir,
            seeds=options.seeds or (1 if options.quick else 5),
            out=options.out,
            quick=options.quick,
            **given,
        )
    if options.json:
        print(json.dumps(runs, indent=2))
