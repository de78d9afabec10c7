"""Stopping a training whose loss is no longer finite, with the layer to blame."""

import math

import numpy as np
from keras import ops

from keras_dynamicgate.layers.gated_layer import gated_layers


def check_finite(model, logs):
    """Raise an error if the loss of an epoch is not finite.

    Args:
        model: The model that trains.
        logs: Dict with the epoch's `loss`.

    Raises:
        FloatingPointError: If the loss is NaN or infinite; it names the layers whose gates
            are not finite.
    """
    loss = (logs or {}).get("loss")
    if loss is None or math.isfinite(loss):
        return
    names = [layer.name for layer in gated_layers(model) if not _is_finite(layer.gate)]
    cause = (
        f"The gates of {names} are not finite."
        if names
        else "All gates are finite: look at the other layers."
    )
    raise FloatingPointError(
        f"The loss is no longer finite. {cause} Lower the learning rate, set `clipnorm` in the "
        f"optimizer, or look for NaN in the inputs. Received: loss={loss}"
    )


def _is_finite(gate):
    values = [gate.usage, *gate.network.weights]
    return all(np.all(np.isfinite(ops.convert_to_numpy(value))) for value in values)
