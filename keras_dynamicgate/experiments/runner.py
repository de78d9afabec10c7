"""`compare`: every family at every budget, with several seeds, resumed where it was cut."""

import dataclasses
import pathlib
import platform
from importlib import metadata

import keras

from keras_dynamicgate.experiments import outputs
from keras_dynamicgate.experiments.families import FAMILIES, split_name
from keras_dynamicgate.experiments.progress import progress_of
from keras_dynamicgate.experiments.store import Run, RunStore
from keras_dynamicgate.experiments.tasks import TASKS, Task
from keras_dynamicgate.experiments.training import TEACHER, Trainer

MODELS = ("dropout", "narrow", "static", "dynamic")
TARGETS = (0.5, 0.3, 0.15, 0.05)


def compare(task, *, data_dir=None, models=MODELS, targets=TARGETS, seeds=3, out=None, quick=False):
    """Train families of models by one recipe at several budgets and write what came out.

    A comparison that was interrupted goes on with the run that was cut. To make several runs at a
    time, start it several times with the same `out` and other seeds.

    Args:
        task: Name of a data set with its network and recipe, a key of `TASKS`, or a `Task`.
        data_dir: Folder with the original data. Defaults to `None`: it is downloaded.
        models: Names of families, keys of `FAMILIES`; `_distilled` behind a name trains it towards
            the answers of `dropout`, too. Defaults to `("dropout", "narrow", "static", "dynamic")`.
        targets: Floats above 0 and below 1, the budgets of relative MACs. Defaults to
            `(0.5, 0.3, 0.15, 0.05)`.
        seeds: Integer, how many seeds from 0 on, or a sequence of seeds. Defaults to 3.
        out: Folder for results and pictures. Defaults to `None`: `runs/<task>`.
        quick: Whether to train for few epochs only, to see that all works. Defaults to `False`.

    Returns:
        List of dicts, the results of all finished runs in `out`.

    Raises:
        ValueError: If a task, a model, a target or a seed is unknown or outside what is allowed,
            or if `out` holds runs that were made under other conditions.

    Examples:
        >>> runs = keras_dynamicgate.experiments.compare(
        ...     "digits", models=("narrow",), targets=(0.3,), seeds=1, quick=True, out="runs"
        ... )
        >>> [run["model"] for run in runs]
        ['narrow']
    """
    task = _task(task)
    task = task.quick() if quick else task
    grid = _grid(models, targets, seeds)
    store = RunStore(pathlib.Path(out or f"runs/{task.name}"), _conditions(task))
    missing = [run for run in grid if run not in store]
    if missing:
        trainer = Trainer(task, task.dataset(data_dir), store)
        with progress_of(len(missing), len(grid) - len(missing), task.recipe.epochs) as progress:
            for run in missing:
                if run not in store:
                    result = trainer.train(run, [progress.start(run)])
                    progress.finish(run, result)
    return outputs.write(store)


def _task(task):
    if isinstance(task, Task):
        return task
    if task not in TASKS:
        raise ValueError(
            f"Argument `task` must be one of {', '.join(TASKS)} or a `Task`. "
            f"Received: task={task!r}"
        )
    return TASKS[task]


def _grid(models, targets, seeds):
    """List the runs, seed by seed, so that what is finished early can be compared early."""
    for name in models:
        if split_name(name)[0] not in FAMILIES:
            raise ValueError(
                f"Argument `models` must hold names among {', '.join(FAMILIES)}, each also with "
                f"`_distilled` behind it. Received: {name!r}"
            )
    for target in targets:
        if not 0.0 < target < 1.0:
            raise ValueError(
                "Argument `targets` must hold floats above 0 and below 1. "
                f"Received: targets={targets}"
            )
    seeds = range(seeds) if isinstance(seeds, int) else seeds
    if any(split_name(name)[1] for name in models) and TEACHER not in models:
        models = (TEACHER, *models)
    return [
        Run(name, target, seed)
        for seed in seeds
        for name in models
        for target in (targets if FAMILIES[split_name(name)[0]].budgeted else (None,))
    ]


def _conditions(task):
    """Say all that the runs of one comparison must have in common."""
    described = dataclasses.asdict(task)
    del described["load"], described["quick_epochs"]
    backend = keras.backend.backend()
    return {
        "task": described,
        "backend": backend,
        "versions": {name: metadata.version(name) for name in ("keras", backend)},
        "machine": platform.machine(),
    }
