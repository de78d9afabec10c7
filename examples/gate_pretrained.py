# %% [markdown]
"""Gate a network that is trained already, and train it on for a third of the epochs.

    python examples/gate_pretrained.py --task speech_commands --data-dir data/speech_commands

A dense network is trained. `gate_model` copies it with static gates that start from its own
activations, and the copy is trained on until it costs the budget, by the labels alone and once more
towards the answers of the dense network as well. Beside them a gated network is trained from
scratch for as many epochs in all. Every model is kept in the output folder: started again, the
script goes on with the model that is missing.
"""

# %% tags=["backend"]
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# %%
import argparse
import dataclasses
import functools
import json
import pathlib

import keras
import numpy as np

import keras_dynamicgate as kdg
from keras_dynamicgate import experiments
from keras_dynamicgate.experiments.tables import markdown

# %% tags=["options"]
parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("--task", choices=list(experiments.TASKS), default="digits")
parser.add_argument("--data-dir", help="folder with the originals; without it they are fetched")
parser.add_argument("--target", type=float, default=0.3, help="budget of relative MACs")
parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
parser.add_argument("--out", help="folder (default: runs/gate_pretrained/TASK)")
parser.add_argument("--quick", action="store_true", help="few epochs: see that all works")
options = vars(parser.parse_args())

# %%
out = pathlib.Path(options["out"] or f"runs/gate_pretrained/{options['task']}")
out.mkdir(parents=True, exist_ok=True)
task = experiments.TASKS[options["task"]]
task = task.quick() if options["quick"] else task
dataset = task.dataset(options["data_dir"])
x_test, y_test = dataset.test[:]
epochs, budget = task.recipe.epochs, options["target"]
more = max(1, round(epochs / 3))
rows = []


# %% [markdown]
# Each model is trained once and kept.


# %%
def trained(name, seed, build, epochs, budget=None, teacher=None):
    """Load a model that an earlier start has trained, or train it."""
    path = out / f"{name}-{seed}.keras"
    if path.exists():
        return keras.models.load_model(path, compile=False)
    print(f"{path.name}: {epochs} epochs")
    keras.utils.set_random_seed(seed)
    model = build()
    recipe = dataclasses.replace(task.recipe, epochs=epochs)
    callbacks = [] if budget is None else [kdg.MacBudget(budget)]
    recipe.train(model, dataset, callbacks, seed=seed, teacher=teacher, verbose=2)
    model.save(path)
    return model


def note(name, seed, model, epochs):
    """Keep what a model reaches on the test split, and what it costs."""
    right = model.predict(x_test, batch_size=512, verbose=0).argmax(axis=1) == y_test
    relative_macs = kdg.count_macs(model, x_test).relative
    row = {"model": name, "epochs": epochs, "accuracy": float(np.mean(right))}
    rows.append({**row, "relative MACs": relative_macs, "seed": seed})


def new(family):
    return experiments.FAMILIES[family].build(task, dataset, budget).model


# %%
for seed in range(options["seeds"]):
    dense = trained("dense", seed, functools.partial(new, "dropout"), epochs)
    note("dense", seed, dense, epochs)

    settings = {"gate": "static", "block_size": 1, "input_gate": True}
    settings["calibration_data"] = dataset.train[:500][0]
    gate_dense = functools.partial(kdg.gate_model, dense, **settings)
    gated = trained("gated", seed, gate_dense, more, budget)
    note("gated, then trained on", seed, gated, epochs + more)

    splits = (dataset.train, dataset.validation)
    teacher = [dense.predict(split.batches(512), verbose=0) for split in splits]
    distilled = trained("distilled", seed, gate_dense, more, budget, teacher)
    note("gated, then trained on, distilled", seed, distilled, epochs + more)

    scratch = trained("scratch", seed, functools.partial(new, "static"), epochs + more, budget)
    note("gated from scratch", seed, scratch, epochs + more)

# %%
(out / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
kdg.plot_gates(gated, x_test, y_test, dataset.class_names).savefig(out / "gates.png")
cells = [
    [row["model"], str(row["epochs"]), f"{row['accuracy']:.2%}", f"{row['relative MACs']:.3f}"]
    for row in rows
]
table = markdown(["model", "epochs in all", "accuracy", "relative MACs"], cells)
(out / "results.md").write_text(table + "\n")
print(table)
