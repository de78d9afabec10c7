"""Comparisons of gated models with the networks that a user would pick instead."""

from keras_dynamicgate.experiments.families import FAMILIES
from keras_dynamicgate.experiments.options import parse
from keras_dynamicgate.experiments.recipe import Recipe
from keras_dynamicgate.experiments.runner import compare
from keras_dynamicgate.experiments.tasks import TASKS, Task
from keras_dynamicgate.experiments.under_drift import DRIFTS, STUDENTS, drift, parse_drift
from keras_dynamicgate.training.one_cycle import OneCycle

__all__ = [
    "DRIFTS",
    "FAMILIES",
    "STUDENTS",
    "TASKS",
    "OneCycle",
    "Recipe",
    "Task",
    "compare",
    "drift",
    "parse",
    "parse_drift",
]
