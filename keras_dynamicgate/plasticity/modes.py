"""`set_update_mode`: which weights of a model training may change."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.graph.state import all_layers
from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.plasticity.inactive import mean_masks, require_gates, require_some
from keras_dynamicgate.plasticity.learnable import Units, learnable
from keras_dynamicgate.plasticity.masked_update import MODES, MaskedUpdate
from keras_dynamicgate.utils import checks
from keras_dynamicgate.utils.types import Inputs

OF_UNITS = ("inactive", "both")
# What must not move in these may not move by itself, either.
HELD = ("none", "gates", *OF_UNITS)
# Gates decide without noise where they do not learn.
SETTLED = ("none", "inactive")
# Layers that change their statistics in every training call.
WITH_STATISTICS = (keras.layers.BatchNormalization, keras.layers.SpectralNormalization)


def set_update_mode(
    model: keras.Model,
    mode: str,
    reference: Inputs = None,
    tau: float = 0.0,
    *,
    optimizer: Any = None,
    batch_size: int = 256,
) -> None:
    """Choose which weights of a model training may change from now on, and which not by a bit.

    | mode | what may change |
    | --- | --- |
    | `"none"` | nothing |
    | `"gates"` | the gate networks |
    | `"inactive"` | column, bias and consumers' rows of the units that `reference` leaves closed |
    | `"both"` | the gate networks and these |
    | `"all"` | everything, as without a mode |
    | `"head"` | the last layer with weights |
    | `"biases"` | biases and the weights of normalisation |

    The model is compiled with a `MaskedUpdate`, then `fit`, `train_on_batch` and loops of your own
    keep to the mode. Mode and units are variables: a change compiles nothing anew, and a file keeps
    them. In `"inactive"` and `"both"` training opens the chosen units, which is what gives them a
    gradient; inference leaves them closed where their gates say so. Hence, with `tau=0.0`, mode
    `"inactive"` leaves the answers to the reference what they were, bit for bit.

    What gates measure (`usage`, `open_ratio`), seeds of noise, counters of the optimizer and
    metrics move in every mode; none of them changes an answer.

    Args:
        model: A built Keras model, also one without gates in the modes that are not about them.
        mode: One of the modes above.
        reference: Inputs as for `model.predict` that must not be disturbed. Needed by `"inactive"`
            and `"both"`. Defaults to `None`.
        tau: Number from 0 to 1: units that are open for at most this share of the reference count
            as inactive, too. Defaults to 0.0: only those that it never opens.
        optimizer: The `MaskedUpdate` of a training loop of your own, built. Defaults to `None`:
            that of the compiled model.
        batch_size: Integer, the number of reference samples that run at once. Defaults to 256.

    Raises:
        ValueError: If `mode` is unknown, if the model has no gates and the mode needs some, if
            `reference` is missing, opens every unit or is no input of the model, if the model is
            not compiled with a `MaskedUpdate`, or if a layer would change its statistics that the
            mode holds.

    Examples:
        >>> layer = keras_dynamicgate.DynamicGateDense(4, gate="static", block_size=1, top_k=1)
        >>> model = keras.Sequential([keras.Input((2,)), layer, keras.layers.Dense(1)])
        >>> model.compile(keras_dynamicgate.plasticity.MaskedUpdate("adam"), "mse")
        >>> x = np.ones((3, 2))
        >>> keras_dynamicgate.plasticity.set_update_mode(model, "inactive", reference=x)
        >>> before = model.predict(x, verbose=0)
        >>> history = model.fit(x, np.zeros((3, 1)), verbose=0)
        >>> bool((model.predict(x, verbose=0) == before).all())
        True
    """
    checks.one_of("mode", mode, MODES)
    checks.number("tau", tau, "from 0 to 1", lambda value: 0 <= value <= 1)
    units: Units = {}
    if mode in OF_UNITS:
        require_gates(model)
        if reference is None:
            raise ValueError(
                f'Argument `reference` is needed by mode "{mode}": inputs that must not be '
                "disturbed, whose closed units learn. Received: reference=None"
            )
        means = mean_masks(model, reference, batch_size)
        units = {path: mean <= tau for path, mean in means.items()}
        require_some(units, means, tau)
    apply_mode(model, mode, units, reference, optimizer)


def apply_mode(
    model: keras.Model,
    mode: str,
    units: Mapping[str, np.ndarray],
    x: Inputs = None,
    optimizer: Any = None,
) -> None:
    """Set a mode whose units are chosen already.

    Args:
        model: As in `set_update_mode`.
        mode: As in `set_update_mode`.
        units: Dict from the paths of gated layers to boolean arrays of shape `(gates,)`, the units
            that learn; a layer that is left out has none.
        x: Inputs for the sizes that the model leaves open. Defaults to `None`.
        optimizer: As in `set_update_mode`.
    """
    if mode in ("gates", *OF_UNITS):
        require_gates(model)
    if mode in HELD:
        _require_fixed_statistics(model, mode)
    optimizer = masked_optimizer(model, optimizer)
    layers = gated_layers(model)
    none = {layer.path: np.zeros(layer.gate.gates, bool) for layer in layers}
    units = {**none, **units}
    masks = learnable(model, mode, units, optimizer.trained_variables, x)
    optimizer.set_masks(masks, MODES.index(mode))
    for layer in layers:
        layer.gate.shadow.forced_open.assign(units[layer.path].astype("float32"))
        layer.gate.shadow.settled.assign(float(mode in SETTLED))


def update_mode(model: keras.Model, optimizer: Any = None) -> str:
    """Tell the update mode of a model, also of one that was loaded.

    Args:
        model: A model compiled with a `MaskedUpdate`.
        optimizer: As in `set_update_mode`.

    Returns:
        One of the modes of `set_update_mode`; `"all"` before one was set.

    Raises:
        ValueError: If there is no `MaskedUpdate`.

    Examples:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile(keras_dynamicgate.plasticity.MaskedUpdate("sgd"), "mse")
        >>> keras_dynamicgate.plasticity.update_mode(model)
        'all'
    """
    return MODES[int(masked_optimizer(model, optimizer).mode)]


def masked_optimizer(model: keras.Model, optimizer: Any) -> MaskedUpdate:
    """Find the `MaskedUpdate` that trains a model, and build it."""
    given: Any = optimizer if optimizer is not None else getattr(model, "optimizer", None)
    found = given
    while found is not None and not isinstance(found, MaskedUpdate):
        found = getattr(found, "inner_optimizer", None)
    if found is None:
        raise ValueError(
            "The optimizer must be a `keras_dynamicgate.plasticity.MaskedUpdate`: "
            '`model.compile(MaskedUpdate("adam"), ...)`, or `MaskedUpdate(model.optimizer)` to go '
            "on with that of a compiled model. In a loop of your own give it as `optimizer`. "
            f"Received: optimizer={given!r}"
        )
    if not found.built:
        given.build(model.trainable_variables)
    return found


def _require_fixed_statistics(model: keras.Model, mode: str) -> None:
    """Raise a `ValueError` if a layer changes its statistics in training whatever its gradients."""
    moving = [
        layer.path
        for layer in all_layers(model)
        if isinstance(layer, WITH_STATISTICS) and layer.trainable
    ]
    if moving:
        raise ValueError(
            f'Argument `mode` must be "all", "head" or "biases" for a model whose layers follow '
            "the statistics of what they are trained on, because this changes its answers. Freeze "
            f"these layers with `trainable = False` and compile the model: {moving}. "
            f"Received: mode={mode!r}"
        )
