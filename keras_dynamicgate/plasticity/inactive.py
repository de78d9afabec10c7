"""Which gates a set of reference inputs leaves closed: the units that may learn unnoticed."""

import keras
import numpy as np

from keras_dynamicgate.gating.gate import Gate
from keras_dynamicgate.gating.record import record_batches
from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.plasticity.samples import check_shapes
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import Inputs

SUGGESTED = (0.01, 0.05, 0.1, 0.25, 0.5)


def inactive_units(
    model: keras.Model, reference: Inputs, tau: float = 0.0, *, batch_size: int = 256
) -> dict[str, np.ndarray]:
    """Tell which units of a model no reference input opens, block by block.

    Args:
        model: A built Keras model with gated layers.
        reference: Inputs as for `model.predict` that must not be disturbed: an array or a list or
            dict of arrays.
        tau: Number from 0 to 1, the share of the reference at which a unit may be open and still
            count as inactive. Defaults to 0.0, strict: open for none, at no position.
        batch_size: Integer, the number of samples that run at once. Defaults to 256.

    Returns:
        Dict from the path of each gated layer to a boolean array of shape `(gates,)`, true for the
        blocks of units that are inactive.

    Raises:
        ValueError: If the model has no gated layers, if `reference` has no samples, not an array
            for each input or NaN that reaches a gate or an output, or if `tau` is no number from 0
            to 1.

    Examples:
        >>> layer = keras_dynamicgate.DynamicGateDense(4, gate="static", block_size=1, top_k=1)
        >>> model = keras.Sequential([keras.Input((2,)), layer])
        >>> inactive = keras_dynamicgate.plasticity.inactive_units(model, np.ones((3, 2)))
        >>> int(inactive[layer.path].sum())
        3
    """
    checks.number("tau", tau, "from 0 to 1", lambda value: 0 <= value <= 1)
    return {path: mean <= tau for path, mean in mean_masks(model, reference, batch_size).items()}


def mean_masks(
    model: keras.Model, x: Inputs, batch_size: int = 256, *, argument: str = "reference"
) -> dict[str, np.ndarray]:
    """Average the mask of each gate over all samples and positions, padding included.

    Args:
        model: As in `inactive_units`.
        x: Inputs as for `model.predict`.
        batch_size: As in `inactive_units`.
        argument: Name of the caller's argument, for errors. Defaults to `"reference"`.

    Returns:
        Dict from the path of each gated layer to an array of shape `(gates,)`; a gate that is
        never called counts as open.
    """
    require_gates(model)
    checks.positive_integer("batch_size", batch_size)
    check_shapes(model, x, argument)
    sums: dict[Gate, np.ndarray] = {}
    samples = 0
    for rows, record in record_batches(model, x, batch_size, argument=argument):
        for gate, mask in record.masks(padding=True).items():
            mean = mask.reshape(-1, mask.shape[-1]).mean(axis=0, dtype="float64")
            sums[gate] = sums.get(gate, 0.0) + mean * (rows.stop - rows.start)
        samples = rows.stop
    return {
        layer.path: sums[layer.gate] / samples if layer.gate in sums else np.ones(layer.gate.gates)
        for layer in gated_layers(model)
    }


def require_gates(model: keras.Model) -> None:
    """Raise a `ValueError` if a model has no gated layers."""
    if not gated_layers(model):
        raise ValueError(
            "Argument `model` must have gated layers, such as "
            "`keras_dynamicgate.DynamicGateDense`. Received: model "
            f"{model.name!r} with the layers {[layer.name for layer in model.layers]}"
        )


def require_some(inactive: dict[str, np.ndarray], means: dict[str, np.ndarray], tau: float) -> None:
    """Raise a `ValueError` if no gate is inactive, with how many would be at which `tau`."""
    if any(mask.any() for mask in inactive.values()):
        return
    every = np.concatenate(list(means.values()))
    counts = ", ".join(f"{int((every <= each).sum())} at tau={each}" for each in SUGGESTED)
    raise ValueError(
        "Argument `reference` must leave at least one unit inactive, and it opens every one of "
        f"the {every.size} gates at a share above tau={tau}. Inactive would be {counts}; the least "
        f"used gate is open at {every.min():.3g}. Raise `tau` or keep units in reserve. "
        f"Received: tau={tau!r}"
    )
