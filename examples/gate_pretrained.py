"""Gate a network that is trained already, and train it on for a third of the epochs.

    python examples/gate_pretrained.py --task speech_commands --data-dir data/speech_commands

A dense network is trained. `gate_model` copies it with static gates that start from its own
activations, and the copy is trained on until it costs the budget, by the labels alone and once more
towards the answers of the dense network as well. Beside them a gated network is trained from
scratch for as many epochs in all. Every model is kept in the output folder: started again, the
script goes on with the model that is missing.
"""

import argparse
import dataclasses
import json
import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import keras_dynamicgate as kdg
from keras_dynamicgate import experiments

COLUMNS = ("model", "epochs", "accuracy", "relative MACs")


class Comparison:
    """The four models of one seed, each trained once and kept in `out`."""

    def __init__(self, options, task, dataset, seed):
        self.options, self.task, self.dataset, self.seed = options, task, dataset, seed
        self.epochs = task.recipe.epochs
        self.more = max(1, round(self.epochs / 3))
        self.dense = self.trained("dense", self.build_dense, self.epochs)

    def rows(self):
        """Train what is missing and give one row for each model."""
        budget = self.options.target
        whole = self.epochs + self.more
        yield self.row("dense", self.dense, self.epochs)
        tuned = self.trained("gated", self.gate_dense, self.more, budget)
        yield self.row("gated, then trained on", tuned, whole)
        splits = (self.dataset.train, self.dataset.validation)
        teacher = [self.dense.predict(split.batches(512), verbose=0) for split in splits]
        tuned = self.trained("distilled", self.gate_dense, self.more, budget, teacher)
        yield self.row("gated, then trained on, distilled", tuned, whole)
        scratch = self.trained("scratch", self.build_gated, whole, budget)
        yield self.row("gated from scratch", scratch, whole)

    def build_dense(self):
        return experiments.FAMILIES["dropout"].build(self.task, self.dataset, None).model

    def build_gated(self):
        family = experiments.FAMILIES["static"]
        return family.build(self.task, self.dataset, self.options.target).model

    def gate_dense(self):
        settings = {"gate": "static", "block_size": 1, "input_gate": True}
        return kdg.gate_model(self.dense, **settings, calibration_data=self.dataset.train[:500][0])

    def trained(self, name, build, epochs, budget=None, teacher=None):
        """Load a model that an earlier start has trained, or train it."""
        path = pathlib.Path(self.options.out) / f"{name}-{self.seed}.keras"
        if path.exists():
            return keras.models.load_model(path, compile=False)
        print(f"{path.name}: {epochs} epochs")
        keras.utils.set_random_seed(self.seed)
        model = build()
        recipe = dataclasses.replace(self.task.recipe, epochs=epochs)
        callbacks = [] if budget is None else [kdg.MacBudget(budget)]
        recipe.train(model, self.dataset, callbacks, seed=self.seed, teacher=teacher, verbose=2)
        model.save(path)
        return model

    def row(self, name, model, epochs):
        x, y = self.dataset.test[:]
        right = model.predict(x, batch_size=512, verbose=0).argmax(axis=1) == y
        relative_macs = kdg.count_macs(model, x).relative
        values = (name, epochs, float(np.mean(right)), relative_macs)
        return {**dict(zip(COLUMNS, values, strict=True)), "seed": self.seed}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=list(experiments.TASKS), default="digits")
    parser.add_argument("--data-dir", help="folder with the originals; without it they are fetched")
    parser.add_argument("--target", type=float, default=0.3, help="budget of relative MACs")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--out", help="folder for models and results")
    parser.add_argument("--quick", action="store_true", help="few epochs: see that all works")
    options = parser.parse_known_args()[0]
    options.out = options.out or f"runs/gate_pretrained/{options.task}"
    pathlib.Path(options.out).mkdir(parents=True, exist_ok=True)

    task = experiments.TASKS[options.task]
    task = task.quick() if options.quick else task
    dataset = task.dataset(options.data_dir)
    rows = [
        row
        for seed in range(options.seeds)
        for row in Comparison(options, task, dataset, seed).rows()
    ]
    (pathlib.Path(options.out) / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    table = Table(*COLUMNS, "seed")
    for row in rows:
        accuracy, relative_macs = f"{row['accuracy']:.2%}", f"{row['relative MACs']:.3f}"
        table.add_row(row["model"], str(row["epochs"]), accuracy, relative_macs, str(row["seed"]))
    Console().print(table)


if __name__ == "__main__":
    main()
