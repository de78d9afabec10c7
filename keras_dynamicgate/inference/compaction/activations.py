"""What activation functions make of constants."""

import numpy as np
from keras import ops

ACROSS_UNITS = "its activation works across units or is not one of Keras's"


def image(activation, row):
    """Give the values of an activation on an array, as an array of float64."""
    if activation is None:
        return row
    values = activation(ops.convert_to_tensor(np.asarray(row, "float32")))
    return ops.convert_to_numpy(values).astype("float64")
