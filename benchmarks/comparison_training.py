"""Time whole epochs of the comparison's gated networks, as ratios to the full dense network.

    python benchmarks/comparison_training.py            # all installed backends, one after another
    python benchmarks/comparison_training.py --backend jax --tasks mnist cifar10

Each network is trained by the recipe of its task with all its callbacks, `MacBudget` and
`GateSummary` among them, on samples of the right shape that are read from memory. The trainings
take turns, an epoch each, so that a machine whose speed drifts slows all of them; what counts is
the median of the ratios of neighbouring epochs. The first epoch of each, which compiles, is left
out.
"""

import argparse
import dataclasses
import queue
import statistics
import threading
import time

import each_backend

SHAPES = {"mnist": (28, 28), "cifar10": (32, 32, 3), "speech_commands": (49, 40)}
CLASSES = {"speech_commands": 12}
BUDGET = 0.15
BUDGETS = [0.5, 0.3, 0.15, 0.05]  # for families that train one model for all of them
REFERENCE = "dropout"  # the full network, as all families are compared with it

parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("--tasks", nargs="+", choices=SHAPES, default=["mnist"])
parser.add_argument("--models", nargs="+", default=["static", "dynamic"], help="families")
parser.add_argument("--epochs", type=int, default=7)
parser.add_argument("--steps", type=int, default=400, help="steps in an epoch")
options = each_backend.parse(parser)

import keras
import numpy as np

import keras_dynamicgate as kdg
from keras_dynamicgate.experiments.families import FAMILIES
from keras_dynamicgate.experiments.tasks import TASKS


class OneBatch(keras.utils.PyDataset):
    """The same batch again and again, so that reading data takes no time."""

    def __init__(self, split, batch_size):
        super().__init__()
        self.batch = split[:batch_size]

    def __len__(self):
        return options.steps

    def __getitem__(self, index):
        return self.batch


class Turn(keras.callbacks.Callback):
    """Waits before each epoch until the training before it has ended one."""

    def __init__(self, mine, following):
        super().__init__()
        self.mine, self.following = mine, following
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.mine.acquire()
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)
        self.following.release()


def samples(task):
    """Make a data set of the shape that a task has."""
    random = np.random.default_rng(0)
    classes = CLASSES.get(task.name, 10)
    x = random.uniform(size=(1000, *SHAPES[task.name])).astype("float32")
    y = random.integers(0, classes, 1000).astype("int32")
    split = kdg.datasets.Split(x, y)
    return kdg.datasets.Dataset(
        task.name, split, split, split, tuple(map(str, range(classes))), "", ""
    )


def training(task, dataset, name, turn):
    """Build a network and give a function that trains it."""
    recipe = dataclasses.replace(task.recipe, epochs=options.epochs)
    family = FAMILIES[name]
    contender = family.build(task, dataset, BUDGETS if family.elastic else BUDGET)
    gated = any(isinstance(layer, kdg.DynamicGateDense) for layer in contender.model.layers)
    summary = [kdg.GateSummary(dataset.validation.x, verbose=0)] if gated else []
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    optimizer = keras.optimizers.AdamW(
        kdg.experiments.OneCycle(recipe.peak_learning_rate, options.epochs * options.steps),
        weight_decay=recipe.weight_decay,
    )
    contender.model.compile(optimizer, loss, metrics=[accuracy])
    callbacks = [*contender.callbacks, *summary, turn]
    batches = OneBatch(dataset.train, recipe.batch_size)
    return lambda: contender.model.fit(
        batches, epochs=options.epochs, shuffle=False, verbose=0, callbacks=callbacks
    )


def reporting(train, ended):
    """Train, and put the error that ended the training, or `None`, into a queue."""
    try:
        train()
    except Exception as error:
        ended.put(error)
    else:
        ended.put(None)


def compare(task):
    """Train the networks of a task by turns and print what an epoch of each takes."""
    names = [REFERENCE, *options.models]
    gates = [threading.Semaphore(0) for _ in names]
    turns = [Turn(mine, after) for mine, after in zip(gates, [*gates[1:], gates[0]], strict=True)]
    dataset = samples(task)
    trainings = [
        training(task, dataset, name, turn) for name, turn in zip(names, turns, strict=True)
    ]
    ended = queue.Queue()
    for train in trainings:
        threading.Thread(target=reporting, args=(train, ended), daemon=True).start()
    gates[0].release()
    for _ in trainings:
        if error := ended.get():
            raise error
    plain = turns[0].seconds[1:]
    print(
        f"{options.backend:10}  {task.name:15}  {REFERENCE:15}  "
        f"{statistics.median(plain) / options.steps * 1e3:6.2f} ms a step",
        flush=True,
    )
    for name, turn in zip(options.models, turns[1:], strict=True):
        ratios = [ours / theirs for ours, theirs in zip(turn.seconds[1:], plain, strict=True)]
        milliseconds = statistics.median(turn.seconds[1:]) / options.steps * 1e3
        print(
            f"{options.backend:10}  {task.name:15}  {name:15}  {milliseconds:6.2f} ms a step   "
            f"ratio {statistics.median(ratios):.2f}",
            flush=True,
        )


for chosen in options.tasks:
    compare(TASKS[chosen])
