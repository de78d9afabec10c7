"""Let KerasTuner find the smallest budget that still answers well, on handwritten digits.

    pip install keras-tuner
    python examples/tune_budget.py

Every trial trains one model to one budget with one kind of gate. What it is worth is its validation
accuracy less a price on the multiply-accumulates it needs: with the default, one percent of
accuracy is worth ten percent of the multiply-accumulates.
"""

import argparse
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import keras_tuner
from rich.console import Console
from rich.table import Table

import keras_dynamicgate as kdg
from keras_dynamicgate import experiments

BUDGETS = (0.5, 0.3, 0.15, 0.05)
GATES = ("static", "low_rank")


class GatedDigits(keras_tuner.HyperModel):
    """A gated network whose budget and kind of gate are searched."""

    def __init__(self, dataset, recipe, price):
        super().__init__()
        self.dataset = dataset
        self.recipe = recipe
        self.price = price

    def build(self, hp):
        gate = hp.Choice("gate", GATES)
        hp.Choice("budget", BUDGETS)
        return keras.Sequential(
            [
                keras.Input((8, 8)),
                keras.layers.Flatten(),
                kdg.DynamicGate(),
                kdg.DynamicGateDense(256, activation="relu", gate=gate),
                keras.layers.Dropout(0.2),
                keras.layers.Dense(10),
            ]
        )

    def fit(self, hp, model, *args, callbacks=(), **kwargs):
        budget = kdg.MacBudget(hp.get("budget"))
        history = self.recipe.train(model, self.dataset, [budget, *callbacks], verbose=0).history
        accuracy = history["val_accuracy"][-1]
        relative_macs = kdg.count_macs(model, self.dataset.validation.x).relative
        worth = accuracy - self.price * relative_macs
        return {"worth": worth, "val_accuracy": accuracy, "relative_macs": relative_macs}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--price", type=float, default=0.1, help="worth of all MACs, in accuracy")
    parser.add_argument("--out", default="runs/tune_budget", help="folder for the trials")
    parser.add_argument("--quick", action="store_true", help="few epochs: see that all works")
    options = parser.parse_known_args()[0]
    task = experiments.TASKS["digits"]
    task = task.quick() if options.quick else task
    tuner = keras_tuner.GridSearch(
        GatedDigits(task.dataset(), task.recipe, options.price),
        objective=keras_tuner.Objective("worth", "max"),
        directory=options.out,
        project_name="digits",
    )
    tuner.search()
    table = Table("gate", "budget", "validation accuracy", "relative MACs", "worth")
    for trial in tuner.oracle.get_best_trials(len(BUDGETS) * len(GATES)):
        values = trial.hyperparameters.values
        accuracy, relative_macs = (
            trial.metrics.get_best_value(name) for name in ("val_accuracy", "relative_macs")
        )
        table.add_row(
            values["gate"],
            f"{values['budget']:g}",
            f"{accuracy:.2%}",
            f"{relative_macs:.3f}",
            f"{trial.score:.4f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
