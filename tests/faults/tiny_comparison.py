"""The command `compare` on a task so small that starting Python takes longest."""

import sys

from experiments.conftest import make_dataset

from keras_dynamicgate.cli import main
from keras_dynamicgate.experiments import TASKS, Recipe, Task

RUNS = 6


def compare(folder):
    """Run the command in a folder and give its exit code."""
    name = "digits"  # the command knows no other names than those of its own tasks
    recipe = Recipe(epochs=1, batch_size=16)
    task = Task(name=name, load=lambda _: make_dataset(), hidden=(8,), recipe=recipe)
    before = TASKS[name]
    TASKS[name] = task
    try:
        runs = ["--models", "linear", "--seeds", str(RUNS)]
        return main(["compare", name, *runs, "--out", str(folder)])
    finally:
        TASKS[name] = before


if __name__ == "__main__":
    sys.exit(compare(sys.argv[1]))
