"""`compare`: every family at every budget with several seeds, resumed after an interruption."""

import numbers
import pathlib
from collections.abc import Sequence
from os import PathLike
from typing import Any

from keras_dynamicgate.datasets import Dataset
from keras_dynamicgate.experiments import asked, outputs
from keras_dynamicgate.experiments.conditions import conditions
from keras_dynamicgate.experiments.families import FAMILIES, split_name
from keras_dynamicgate.experiments.networks import dense_macs
from keras_dynamicgate.experiments.progress import progress_of
from keras_dynamicgate.experiments.store import Run, RunStore
from keras_dynamicgate.experiments.tables import summarise
from keras_dynamicgate.experiments.tasks import Task
from keras_dynamicgate.experiments.training import TEACHER, Trainer

MODELS = ("dropout", "narrow", "static", "dynamic")
TARGETS = (0.5, 0.3, 0.15, 0.05)
# Families whose hidden layers leave out weights, but whose last layer keeps all of its own.
WITH_DENSE_HEAD = ("pruned", "rigl")


def compare(
    task: str | Task,
    *,
    data_dir: str | PathLike[str] | None = None,
    models: Sequence[str] = MODELS,
    targets: Sequence[float] = TARGETS,
    seeds: int | Sequence[int] = 3,
    out: str | PathLike[str] | None = None,
    quick: bool = False,
) -> list[dict[str, Any]]:
    """Train families of models by one recipe at several budgets and write the results.

    Results are written after each run, so an interrupted comparison continues with the run that
    was cut short. To train several models at a time, start it several times with the same `out` and
    different seeds.

    Args:
        task: Name of a data set with its network and recipe, a key of `TASKS`, or a `Task`.
        data_dir: Folder with the original data. Defaults to `None`: it is downloaded.
        models: Names of families, keys of `FAMILIES`; `_distilled` after a name trains it towards
            the answers of `dropout` as well. Defaults to
            `("dropout", "narrow", "static", "dynamic")`. Those with `elastic_` train one model for
            all targets.
        targets: Floats above 0 and below 1, the budgets of relative MACs. Defaults to
            `(0.5, 0.3, 0.15, 0.05)`.
        seeds: Integer, the number of seeds, counted from 0, or a sequence of seeds. Pictures of
            gates show the first. Defaults to 3.
        out: Folder for results and pictures. Defaults to `None`: `runs/<task>`.
        quick: Whether to train for only a few epochs, to check that everything works. Defaults to
            `False`.

    Returns:
        List of dicts, the results of all finished runs in `out`.

    Raises:
        ValueError: If a task, a model, a target or a seed is unknown or out of range, if a model
            cannot be as cheap as a target, or if `out` holds runs that were made under other
            conditions or on other data.

    Examples:
        >>> runs = keras_dynamicgate.experiments.compare(
        ...     "digits", models=("narrow",), targets=(0.3,), seeds=1, quick=True, out="runs"
        ... )
        >>> [run["model"] for run in runs]
        ['narrow']
    """
    task = asked.task(task)
    task = task.quick() if quick else task
    grid = _grid(models, targets, seeds)
    dataset = task.dataset(data_dir)
    _check_reachable(task, dataset, grid)
    store = RunStore(pathlib.Path(out or f"runs/{task.name}"), conditions(task, dataset))
    # Refuse earlier runs that cannot be averaged now rather than after a training.
    summarise(store.results())
    missing = [run for run in grid if run not in store]
    if missing:
        budgets = {run.target for run in grid if run.target is not None}
        trainer = Trainer(task, dataset, store, grid[0].seed, budgets)
        with progress_of(len(missing), len(grid) - len(missing), task.recipe.epochs) as progress:
            for run in missing:
                if run not in store:
                    results = trainer.train(run, [progress.start(run)])
                    outputs.write_results(store)
                    for each in (each for each in missing if each in results):
                        progress.finish(each, results[each])
    return outputs.write(store)


def _grid(models: Any, targets: Any, seeds: Any) -> list[Run]:
    """List the runs, seed by seed, so that early results can be compared with each other."""
    models, targets, seeds = _models(models), _targets(targets), asked.seeds(seeds)
    elastic = [name for name in models if FAMILIES[split_name(name)[0]].elastic]
    if elastic and len(targets) < 2:
        raise ValueError(
            f"Argument `targets` must hold at least 2 budgets for {elastic[0]!r}, which trains one "
            f"model for all of them. Received: targets={targets!r}"
        )
    if any(split_name(name)[1] for name in models) and TEACHER not in models:
        models = (TEACHER, *models)
    return [
        Run(name, target, seed)
        for seed in seeds
        for name in models
        for target in (targets if FAMILIES[split_name(name)[0]].budgeted else (None,))
    ]


def _models(models: Any) -> tuple[str, ...]:
    names = asked.listed(models)
    known = all(isinstance(name, str) and split_name(name)[0] in FAMILIES for name in names)
    if not names or not known:
        raise ValueError(
            f"Argument `models` must hold names among {', '.join(FAMILIES)}, each also with "
            f"`_distilled` after it. Received: models={models!r}"
        )
    return names


def _targets(targets: Any) -> tuple[float, ...]:
    budgets = asked.listed(targets)
    allowed = all(
        isinstance(budget, numbers.Real) and 0.0 < float(budget) < 1.0 for budget in budgets
    )
    if not budgets or not allowed:
        raise ValueError(
            "Argument `targets` must hold floats above 0 and below 1. "
            f"Received: targets={targets!r}"
        )
    return tuple(map(float, budgets))


def _check_reachable(task: Task, dataset: Dataset, grid: Sequence[Run]) -> None:
    """Raise a `ValueError` if a run can never be as cheap as its target."""
    full, head = dense_macs(task, dataset, task.hidden), task.hidden[-1] * dataset.num_classes
    for run in grid:
        has_dense_head = split_name(run.model)[0] in WITH_DENSE_HEAD
        if has_dense_head and run.target is not None and run.target * full <= head:
            raise ValueError(
                f"Argument `targets` must hold budgets above {head / full:.4g} for {run.model!r}: "
                "its last layer keeps all of its weights and alone costs that much. "
                f"Received: targets with {run.target:g}"
            )
