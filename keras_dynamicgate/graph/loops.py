"""Loops that a backend compiles around a layer."""

import keras
from keras.src.backend.common import global_state

from keras_dynamicgate.graph.state import all_layers


def compiled_loop_around(layer: keras.layers.Layer) -> keras.layers.RNN | None:
    """Find the recurrent layer that calls a layer from its cell in a loop that JAX compiles.

    Args:
        layer: A layer, from inside its `call`.

    Returns:
        The layer of type `keras.layers.RNN`, or `None`: weights that `layer` assigns are then kept.
    """
    call = global_state.get_global_attribute("current_call_ctx")
    if keras.backend.backend() != "jax" or call is None:
        return None
    for each in all_layers(call.entry_layer, include_self=True):
        recurrent = isinstance(each, keras.layers.RNN) and not each.unroll
        if recurrent and layer in all_layers(each.cell, include_self=True):
            return each
    return None
