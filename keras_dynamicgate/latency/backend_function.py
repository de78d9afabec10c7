"""Keras models as plain functions, without the overhead of `predict`."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def runner(model: keras.Model) -> Callable[[Any], Any]:
    """Make a function that runs a model as its backend runs it fastest.

    On TensorFlow and JAX that is a compiled function, traced for each new shape; PyTorch runs
    eagerly, as in Keras. JAX's function keeps the weights that the model has now.

    Args:
        model: A built Keras model.

    Returns:
        A function of a batch, an array or tensor, that returns the outputs as NumPy arrays. They
        are complete when it returns, also on a GPU.

    Examples:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> runner(model)(np.ones((3, 4), "float32")).shape
        (3, 2)
    """
    run = RUNNERS[keras.backend.backend()](model)
    return lambda x: keras.tree.map_structure(ops.convert_to_numpy, run(x))


def _tensorflow(model: keras.Model) -> Callable[[Any], Any]:
    import tensorflow as tf

    function = tf.function(lambda x: model(x, training=False))
    traced: dict = {}

    def run(x: Any) -> Any:
        x = tf.convert_to_tensor(x)
        key = (tuple(x.shape), x.dtype)
        if key not in traced:
            # Traced by hand, because TensorFlow warns if calls trace several shapes one by one.
            traced[key] = function.get_concrete_function(tf.TensorSpec(*key))
        return traced[key](x)

    return run


def _jax(model: keras.Model) -> Callable[[Any], Any]:
    import jax

    # Copies, since `predict` deletes the arrays of the weights and makes new ones.
    variables = (model.trainable_variables, model.non_trainable_variables)
    weights, others = ([jax.numpy.copy(each.value) for each in group] for group in variables)
    return jax.jit(lambda x: model.stateless_call(weights, others, x, training=False)[0])


def _torch(model: keras.Model) -> Callable[[Any], Any]:
    import torch

    def without_gradients(x: Any) -> Any:
        with torch.no_grad():
            return model(x, training=False)

    return without_gradients


RUNNERS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
