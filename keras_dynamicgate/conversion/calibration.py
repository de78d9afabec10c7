"""Gates that start from what their layers do on data."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate import graph
from keras_dynamicgate.conversion.regression import rank_blocks
from keras_dynamicgate.gating.record import count_samples, record_batches
from keras_dynamicgate.graph.calls import watched

BATCH_SIZE = 256

# Enough to tell blocks apart, few enough to solve for a wide layer in a second.
ROWS = 4096

# A quantile over all units of a layer takes fewer rows than a regression: one of so many.
SIZED = 8


def check_data(model: keras.Model, data: Any) -> None:
    """Raise a `ValueError` unless calibration data fit the inputs of a model.

    Args:
        model: A built Sequential or Functional model.
        data: The argument `calibration_data` of `gate_model`.
    """
    functional: Any = graph.functional(model)
    names = functional.input
    if isinstance(names, dict) and not isinstance(data, dict) and len(names) > 1:
        raise ValueError(
            "Argument `calibration_data` must be a dict, as the inputs of the model are, with an "
            f"array for each of {sorted(names)}. Received: {type(data).__name__}"
        )
    for name, tensor, array in graph.pair_inputs(model, data, "calibration_data"):
        _check_shape(name, tensor, array)
        if tensor.dtype != "string":
            _check_values(name, ops.convert_to_numpy(array))
    count_samples(data, "calibration_data")


def _check_shape(name: str, tensor: keras.KerasTensor, array: np.ndarray) -> None:
    shape = np.shape(array)
    wanted = tuple(tensor.shape)[1:]
    fits = len(shape) == len(wanted) + 1 and all(
        size in (None, given) for size, given in zip(wanted, shape[1:], strict=True)
    )
    if not fits or shape[0] == 0:
        sizes = ", ".join("any" if size is None else str(size) for size in wanted)
        raise ValueError(
            f"Argument `calibration_data` must have shape (samples, {sizes}) for input "
            f"{name!r}, with at least one sample. Received: shape={shape}"
        )


def _check_values(name: str, values: Any) -> None:
    try:
        dtype = keras.backend.standardize_dtype(values.dtype)
    except ValueError:
        dtype = None
    if dtype in (None, "string"):
        raise ValueError(
            f"Argument `calibration_data` must hold numbers for input {name!r}. "
            f"Received: dtype={values.dtype}"
        )
    # Not by the kind of the dtype, which NumPy does not know of bfloat16.
    wrong = np.count_nonzero(~np.isfinite(values)) if "float" in dtype else 0
    if wrong:
        raise ValueError(
            "Argument `calibration_data` must be finite. "
            f"Received: {wrong} NaN or infinite values for input {name!r}"
        )


def start_from_data(model: keras.Model, layers: Any, data: Any) -> None:
    """Run a model on data and start the gates of some of its layers from what these do.

    Args:
        model: A model whose gates are all open.
        layers: List of the gated layers in it.
        data: Inputs as for `model.predict`.
    """
    data = keras.tree.map_structure(ops.convert_to_numpy, data)
    batches = -(-count_samples(data, "calibration_data") // BATCH_SIZE)
    rows = max(1, ROWS // batches)
    measured: dict = {layer: [] for layer in layers}

    def record(
        layer: keras.layers.Layer, call: Callable[..., Any], inputs: Any, **kwargs: Any
    ) -> Any:
        outputs = call(inputs, **kwargs)
        measured[layer].append(_measure(layer, inputs, outputs, rows))
        return outputs

    with watched(layers, record):
        for _ in record_batches(model, data, BATCH_SIZE, argument="calibration_data"):
            pass
    for layer, calls in measured.items():
        found = [np.concatenate(parts) for parts in zip(*calls, strict=True)]
        if not all(np.isfinite(each).all() for each in found):
            raise ValueError(
                f"Layer {layer.name!r} has inputs or outputs that are not finite on "
                "`calibration_data`. Scale the data as in training, or check the model's weights. "
                f"Received: calibration_data for model {model.name!r}"
            )
        if layer.gate.network.reads_outputs:
            layer.gate.network.open_share_of(*found)
        else:
            rank_blocks(layer.gate, *found)


def _measure(layer: keras.layers.Layer, inputs: Any, outputs: Any, rows: int) -> Any:
    """Give what the gates of a layer start from, in some rows.

    Returns:
        Tuple of arrays of shape `(rows, ...)`: what the gate network sees and the root mean square
        of each block, or the sizes that gates decide by which read the units themselves.
    """
    if layer.gate.network.reads_outputs:
        sizes = ops.convert_to_numpy(layer.gate.network.sizes(outputs))
        sizes = sizes.reshape(-1, sizes.shape[-1])
        return (sizes[_some(sizes, -(-rows // SIZED))],)
    seen = ops.convert_to_numpy(layer.gate_inputs(inputs))
    seen = seen.reshape(-1, seen.shape[-1])
    chosen = _some(seen, rows)
    outputs = np.moveaxis(ops.convert_to_numpy(outputs), getattr(layer, "channel_axis", -1), -1)
    blocks = outputs.reshape(len(seen), -1, layer.gate.gates, layer.block_size)[chosen]
    norms = np.sqrt(np.square(blocks.astype("float64")).mean(axis=(1, 3)))
    return seen[chosen].astype("float64"), norms


def _some(values: np.ndarray, rows: int) -> np.ndarray:
    """Choose the indices of some rows, far apart from each other."""
    return np.unique(np.linspace(0, len(values) - 1, rows).astype(int))
