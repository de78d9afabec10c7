"""Comparisons of gated models with the networks that a user would pick instead."""

from keras_dynamicgate.experiments.comparison import compare
from keras_dynamicgate.experiments.recipe import OneCycle, Recipe

__all__ = ["OneCycle", "Recipe", "compare"]
