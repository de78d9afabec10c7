"""Stop a training whose loss is no longer finite, and name the layers to blame."""

import math

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.utils.types import Logs


def check_finite(model: keras.Model, logs: Logs | None) -> None:
    """Raise an error if the loss of an epoch is not finite.

    Args:
        model: The model that trains.
        logs: What Keras logs of the epoch, with its `loss`.

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


def _is_finite(gate: Gate) -> bool:
    values = [gate.usage, *gate.network.weights]
    return all(np.all(np.isfinite(ops.convert_to_numpy(value))) for value in values)
