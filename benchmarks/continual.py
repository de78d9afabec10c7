"""A network that grows into one task after the other: permuted and split MNIST.

    python benchmarks/continual.py permuted --backend jax --data-dir data/mnist --json FILE
    python benchmarks/continual.py split --tau 0.05 --backend jax --data-dir data/mnist --json FILE

All units are closed at first. For each task a share of them learns while closed, then opens for
inputs like those of the task and not like the inputs of the tasks before, of which some are kept
without their labels. Nothing else ever changes. `--replay` keeps labelled samples as well, which
every batch learns again. Accuracies are told on the validation and on the test split.
"""

import argparse
import json
import time

import each_backend
import json_lines

parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("scenario", choices=("permuted", "split"))
parser.add_argument("--data-dir", help="folder with MNIST (default: download it)")
parser.add_argument(
    "--tasks", type=int, default=10, help="permutations; split MNIST has five tasks"
)
parser.add_argument("--units", type=int, default=1000, help="hidden units for all tasks together")
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--kept", type=int, default=2000, help="inputs kept of each task")
parser.add_argument("--tau", type=float, default=0.0, help="share of these that may open others")
parser.add_argument("--replay", type=int, default=0, help="labelled samples kept of each task")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--json", metavar="FILE", help="append the numbers here, a line for each run")
options = each_backend.parse(parser)

import keras
import numpy as np

import keras_dynamicgate as kdg
from keras_dynamicgate import plasticity
from keras_dynamicgate.datasets import mnist
from keras_dynamicgate.plasticity.modes import apply_mode

GATES_A_TASK = 4
BATCH = 128
PIXELS = 28 * 28
CLASSES = 10


def tasks():
    """Give for each task its training, validation and test samples."""
    data = mnist(options.data_dir)
    splits = [(s.x.reshape(-1, PIXELS), s.y) for s in (data.train, data.validation, data.test)]
    if options.scenario == "split":
        chosen = [(2 * task, 2 * task + 1) for task in range(CLASSES // 2)]
        return [
            [(x[rows], y[rows]) for x, y in splits for rows in [np.isin(y, two)]] for two in chosen
        ]
    random = np.random.default_rng(options.seed)
    orders = [np.arange(PIXELS), *(random.permutation(PIXELS) for _ in range(options.tasks - 1))]
    return [[(x[:, order], y) for x, y in splits] for order in orders]


def network(count):
    """Make a network with gates for each task, of which those of the first one alone are open."""
    gates = GATES_A_TASK * count
    layer = kdg.DynamicGateDense(
        gates * (options.units // gates), "relu", gate="linear", block_size=options.units // gates
    )
    model = keras.Sequential([keras.Input((PIXELS,)), layer, keras.layers.Dense(CLASSES)])
    layer.gate.network.scaled_bias.assign(np.where(np.arange(gates) < GATES_A_TASK, 0.5, -0.5))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(plasticity.MaskedUpdate(keras.optimizers.Adam(1e-3)), loss)
    return model, layer


def learn(model, x, y, memory, random):
    """Learn a task in batches, each with as many remembered samples if there are any."""
    for _ in range(options.epochs):
        order = random.permutation(len(x))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            batch = x[rows], y[rows]
            if memory:
                old_x, old_y = (np.concatenate(each) for each in zip(*memory, strict=True))
                old = random.integers(len(old_x), size=BATCH)
                batch = (
                    np.concatenate([batch[0], old_x[old]]),
                    np.concatenate([batch[1], old_y[old]]),
                )
            model.train_on_batch(*batch)


def accuracies(model, all_tasks, split, own_classes=False):
    """Give the accuracy on each task, among all classes or among those of the task alone."""
    found = []
    for samples in all_tasks:
        x, y = samples[split]
        answers = model.predict(x, batch_size=1000, verbose=0)
        if own_classes:
            answers[:, np.setdiff1d(np.arange(CLASSES), y)] = -np.inf
        found.append(float((answers.argmax(axis=-1) == y).mean()))
    return found


def main():
    keras.utils.set_random_seed(options.seed)
    random = np.random.default_rng(options.seed)
    all_tasks = tasks()
    model, layer = network(len(all_tasks))
    kept, memory, table, start = [], [], [], time.perf_counter()
    for number, (train, _, _) in enumerate(all_tasks):
        x, y = train
        chosen = np.arange(layer.gate.gates) // GATES_A_TASK == number
        apply_mode(model, "inactive", {layer.path: chosen})
        learn(model, x, y, memory, random)
        if kept:
            plasticity.open_units(model, np.concatenate(kept), x[: options.kept], tau=options.tau)
        kept.append(x[: options.kept])
        if options.replay:
            memory.append((x[: options.replay], y[: options.replay]))
        table.append(accuracies(model, all_tasks, 2))
        print(f"task {number + 1}:", *(f"{accuracy:.3f}" for accuracy in table[-1]), flush=True)
    result = {
        **{
            name: value for name, value in vars(options).items() if name not in ("json", "data_dir")
        },
        "validation": float(np.mean(accuracies(model, all_tasks, 1))),
        "task_incremental": float(np.mean(accuracies(model, all_tasks, 2, own_classes=True))),
        "seconds": time.perf_counter() - start,
        **plasticity.continual_measures(table),
    }
    print(json.dumps(result, indent=1))
    json_lines.append(options.json, result)


if __name__ == "__main__":
    main()
