"""Which layers of a model the engine runs, and where it reads open blocks alone."""

import keras

from keras_dynamicgate.engine.plan import make_plan
from keras_dynamicgate.engine.steps import Product


def layers_that_read_blocks(model: keras.Model) -> set[str]:
    """Give the names of the layers of which the engine reads open blocks of their input alone.

    Args:
        model: A built Keras model with an input-dependent gate.

    Raises:
        ValueError: If the engine does not run the model.
    """
    # What a layer with several products reads, its first one reads.
    first: dict[str, Product] = {}
    for step in make_plan(model).steps:
        if isinstance(step, Product) and step.name:
            first.setdefault(step.name.split("/")[0], step)
    return {name for name, product in first.items() if product.in_mask is not None}
