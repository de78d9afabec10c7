"""`gate_model`: a trained Keras model, ready to learn what it can leave out."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras

from keras_dynamicgate import graph
from keras_dynamicgate.conversion.calibration import check_data, start_from_data
from keras_dynamicgate.conversion.choice import (
    choose,
    gate_behind,
    gated_layer,
    is_activation_gate,
    is_static,
    only_activated,
)
from keras_dynamicgate.conversion.configs import unregistered
from keras_dynamicgate.conversion.copies import ModelCopy
from keras_dynamicgate.conversion.inside import is_composite
from keras_dynamicgate.conversion.placement import places_behind
from keras_dynamicgate.conversion.regression import open_all
from keras_dynamicgate.conversion.survey import GATED, LayerCandidate, survey
from keras_dynamicgate.graph.state import why_not_loadable
from keras_dynamicgate.layers.dynamic_gate import DynamicGate


def gate_model(
    model: keras.Model,
    *,
    layers: Any = None,
    gate: Any = "low_rank",
    block_size: int | str = "auto",
    initial_open: float = 0.99,
    calibration_data: Any = None,
    input_gate: bool = False,
) -> keras.Model:
    """Copy a trained model with gates on its layers: the same weights, the same outputs.

    `Dense`, `Conv2D` and `EinsumDense` layers become `DynamicGateDense` and `DynamicGateConv2D`
    layers of the same names; an `EinsumDense` only where it does what a `Dense` does. All gates
    are open at the start, for every input, and so the outputs are those of the original. Then
    train the copy for some epochs with a `MacBudget`.

    A composite layer, such as a transformer block of `keras_hub`, stays as it is but for layers
    inside it whose gates would spare others work: those whose units pass nothing but activations,
    dropout and the like and then are the inputs of another `Dense`, as in the middle of a
    feed-forward block. Of the two that SwiGLU multiplies, the first gets the gates, which close the
    units of both. What goes into attention or into a sum, as residual branches do, is not gated.
    In the copy, the block is the attribute `composite` of a layer of the same name.

    Left as they are: heads unless they are named, layers of a single unit or with an activation
    across units such as softmax, quantized layers, layers inside composite layers whose `call` does
    more than call layers and operations of `keras.ops`, and models without a graph of layers. A
    head is a layer whose features, perhaps activated, normalised, added or joined to others, are an
    output of the model. A layer that is called several times is gated once and keeps its places.

    A gate acts right behind its layer. An activation, dropout or pooling that follows passes the
    zeros on and the next layer saves its rows as well. Static gates whose layer is followed by a
    `BatchNormalization`, a depthwise convolution or an activation that makes something else of 0
    stand behind the last of these, as a `DynamicGate` of the layer's name and `_gate`: a channel
    that is closed there need not be computed in any of them. Input-dependent gates have to stand in
    their layer; a `BatchNormalization` turns the zeros into another constant, and then it saves
    its own columns alone. So have all gates in a model whose class makes its graph itself. Frozen
    layers stay frozen, their gates, too.

    Args:
        model: A built Sequential or Functional model; models inside it are followed. It is not
            changed.
        layers: Which layers are gated: names (`"block/dense"` for a layer in an inner model or
            composite layer; `"dense"` finds it, too), types such as `keras.layers.Conv2D`, one or
            a list of them, a function from a layer to a boolean, or a dict from names to gate
            arguments, such as `{"dense": {"gate": "static", "block_size": 16}}`. Types and
            functions leave heads alone. Defaults to `None`: all that can be.
        gate: Gate network as in `DynamicGateDense`. One of your own keeps the start it gives
            itself. `"activation"` or an `ActivationGate(open_ratio=...)` needs no training: single
            units of a feed-forward block like SwiGLU are closed where their activation is small. It
            stands on the layers inside composite layers whose activated units are multiplied by
            others, starts closed as far as it says and needs `calibration_data`. Defaults to
            `"low_rank"`.
        block_size: Integer that divides the units of each gated layer, or `"auto"`. Defaults to
            `"auto"`.
        initial_open: Float between 0.5, the threshold, and 1, the gate probability that the gates
            start around, each a little apart from the others. Defaults to 0.99.
        calibration_data: Inputs as for `model.predict`, some hundred samples. With them, gates
            start from a prediction of how large the output of their block is, so that the least
            important ones close first; they still are all open on these samples. Defaults to
            `None`: they start in a random order.
        input_gate: Boolean, whether a static `DynamicGate` is put before each gated dense layer
            that reads the inputs of the model, and is not inside one whose class makes its graph.
            Defaults to `False`.

    Returns:
        A model of the class of the original that shares no weights with it and is not compiled. One
        whose class makes its graph itself, such as a task model of `keras_hub`, is made anew of its
        config: it has its methods, such as `generate`, its attributes hold the gated layers, its
        preprocessor is that of the original, and it is compiled as its class does by default, with
        a sampler as that of the original. LoRAs are merged there. Layers that are shared stay
        shared; where an inner model shares one with what is around it, the layers of inner models
        become layers of the model itself. A warning says if Keras could not load the model from a
        file.

    Raises:
        ValueError: If the model is not built, is subclassed or has no layer to gate, if `layers`
            is malformed or matches nothing, if a layer or the class of
            a model cannot be copied, or if an argument or
            `calibration_data` does not fit the model.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras.layers.Dense(256, activation="relu"),
        ...     keras.layers.Dense(10, activation="softmax"),
        ... ])
        >>> gated = keras_dynamicgate.gate_model(model)
        >>> [type(layer).__name__ for layer in gated.layers]
        ['DynamicGateDense', 'Dense']
        >>> x = np.ones((1, 64))
        >>> bool(np.allclose(gated.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5))
        True

    Reference:

    - DynamicGate-MLP (arXiv 2603.16367)
    """
    if isinstance(model, keras.Model) and not graph.has_graph(model):
        raise ValueError(
            f"Model {model.name!r} is subclassed, so its layers cannot be exchanged from outside. "
            "Use `keras_dynamicgate.DynamicGateDense` for `Dense` and `DynamicGateConv2D` for "
            "`Conv2D` in its constructor. "
            f"Received: model of type {type(model).__name__}"
        )
    candidates = survey(model)
    if is_activation_gate(gate):
        candidates = _activated(model, candidates, calibration_data)
    chosen = choose(candidates, layers)
    if not chosen:
        raise _nothing_to_gate(model, candidates)
    settings = {"gate": gate, "block_size": block_size, "initial_open": initial_open}
    places = places_behind(model)
    gated, behind = {}, {}
    for each, own in chosen.items():
        arguments = {**settings, **own}
        if id(each.layer) in places and is_static(arguments["gate"]):
            behind[places[id(each.layer)]] = gate_behind(each, arguments)
        else:
            gated[id(each.layer)] = gated_layer(each, arguments)
    input_gates = _input_gates(chosen, initial_open) if input_gate else {}
    if calibration_data is not None:
        check_data(model, calibration_data)
    new = ModelCopy(gated, input_gates, behind).copy(model)
    new_layers = [*gated.values(), *behind.values(), *input_gates.values()]
    for layer in new_layers:
        open_all(layer.gate)
    if calibration_data is not None:
        start_from_data(new, new_layers, calibration_data)
    _warn_if_not_loadable(new)
    return new


def _activated(model: keras.Model, candidates: Any, calibration_data: Any) -> Any:
    """Leave the candidates whose gates can read their units.

    Raises:
        ValueError: If there is none, or no data to tell small units by.
    """
    found = only_activated(candidates)
    if not found:
        names = [each.name for each in candidates if not each.refusal]
        raise ValueError(
            "Argument `gate` must name a gate network that reads the input where no layer's "
            "activated units are multiplied by those of another one, as in SwiGLU; "
            f"model {model.name!r} has {names} to gate. Received: gate='activation'"
        )
    if calibration_data is None:
        raise ValueError(
            "Argument `calibration_data` must hold inputs of the model for gate='activation', some "
            f"hundred positions, to tell which units of {found[0].name!r} and others are small. "
            "Received: calibration_data=None"
        )
    return found


def _warn_if_not_loadable(model: keras.Model) -> None:
    """Warn where a training would be lost in a file that Keras cannot load."""
    # Keras's own layers are sure to load.
    risky = any(map(is_composite, graph.all_layers(model)))
    reason = why_not_loadable(model) if risky else None
    if reason is not None and not _needs_custom_objects(model):
        warnings.warn(
            f"Keras will not be able to load model {model.name!r} from a `.keras` file: {reason}. "
            "Keep what it learns with `save_weights`; `load_weights` gives it back to the model "
            "that `gate_model` makes anew of the original with the same arguments.",
            stacklevel=3,
        )


def _needs_custom_objects(model: keras.Model) -> bool:
    """Tell whether Keras loads a model, as the original, only with `custom_objects`."""
    name = keras.saving.get_registered_name(type(model))
    own = {} if type(model).__module__.startswith("keras.") else {"registered_name": name}
    try:
        return bool(unregistered({**own, "config": model.get_config()}))
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return False


def _input_gates(gated: Any, initial_open: float) -> dict[int, keras.layers.Layer]:
    """Make the gates before the layers that read the model's inputs, by the `id` of the layer."""
    gates = {
        id(each.layer): DynamicGate(
            initial_open=initial_open,
            name=f"{each.layer.name}_input_gate",
            dtype=each.layer.dtype_policy,
        )
        for each in gated
        # The few channels of an image are hardly worth a gate.
        if each.reads_inputs and not isinstance(each.layer, keras.layers.Conv2D)
    }
    if not gates:
        raise ValueError(
            "Argument `input_gate` must be `False` where no gated `Dense` or `EinsumDense` layer "
            "reads the inputs of the model. Received: input_gate=True"
        )
    return gates


def _nothing_to_gate(model: keras.Model, candidates: Sequence[LayerCandidate]) -> ValueError:
    """Make the error for a model in which no layer is chosen."""
    reasons = {
        each.name: each.refusal or "it is the head, or `layers` leaves it out"
        for each in candidates
    }
    types = ", ".join(f"`{kind.__name__}`" for kind in GATED)
    surveyed = [each.layer for each in candidates]
    inside = [
        layer.path
        for layer in graph.all_layers(model)
        if type(layer) in GATED and all(layer is not each for each in surveyed)
    ]
    return ValueError(
        f"Model {model.name!r} has no layer that could be gated. There must be one of the types "
        f"{types} before the head, in the model itself, in a Sequential or Functional model inside "
        "it or in the middle of a feed-forward block. To gate a head, name it in `layers`. "
        f"Received: a model with {reasons or 'none'}"
        + (f", and out of reach inside other layers {inside}" if inside else "")
    )
