"""Count multiply-accumulates, also of your own layers.

A custom layer takes part with a method `cost(inputs: Flow)` that returns a list of `Product` and
the `Flow` of its output.
"""

from keras_dynamicgate.gating.cost import Flow, Product, positions

__all__ = ["Flow", "Product", "positions"]
