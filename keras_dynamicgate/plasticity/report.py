"""`update_report`: what training has moved, and what an update costs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.layers.gated_layer import gated_layers
from keras_dynamicgate.macs.model_cost import model_cost
from keras_dynamicgate.plasticity.modes import masked_optimizer
from keras_dynamicgate.utils.tables import as_text, make_table
from keras_dynamicgate.utils.types import Inputs

HEADS = ("weight", "kind", "numbers", "may move", "moved", "largest step")
NOTE = (
    "An update takes {:,.0f} multiply-accumulates per sample: {:,.0f} forward, {:,.0f} for the "
    "gradients of inputs and {:,.0f} for those of what may move. It counts what has to be "
    "computed; backends compute the gradients of all weights and leave out none of it."
)


@dataclasses.dataclass(frozen=True)
class WeightUpdate:
    """What has become of one weight.

    Attributes:
        path: The path of the weight.
        kind: `"gate"` for the weights of a gate network, `"weight"` for others that can be trained,
            `"state"` for what follows the data, such as statistics, and seeds.
        numbers: How many numbers it holds.
        may_move: How many of these the mode lets learn; 0 for state.
        moved: How many have changed.
        largest_step: The largest absolute change.
    """

    path: str
    kind: str
    numbers: int
    may_move: int
    moved: int
    largest_step: float


@dataclasses.dataclass(frozen=True)
class UpdateReport:
    """What training has moved since some weights were noted. `print(report)` shows a table.

    Attributes:
        weights: List of `WeightUpdate`, in the order of `model.weights`.
        forward_macs: Multiply-accumulates per sample of the forward pass of a training step.
        input_macs: Those of the gradients by inputs, down to the first layer that learns.
        weight_macs: Those of the gradients by the numbers that may move.

    Examples:
        >>> report = keras_dynamicgate.plasticity.UpdateReport(
        ...     [], forward_macs=8.0, input_macs=4.0, weight_macs=2.0
        ... )
        >>> report.macs
        14.0
    """

    weights: list[WeightUpdate]
    forward_macs: float
    input_macs: float
    weight_macs: float

    @property
    def macs(self) -> float:
        """The multiply-accumulates of an update per sample."""
        return self.forward_macs + self.input_macs + self.weight_macs

    def moved(self, kind: str | None = None) -> int:
        """Count the numbers that have changed, of one kind or, with `None`, all that learn."""
        kinds = ("gate", "weight") if kind is None else (kind,)
        return sum(weight.moved for weight in self.weights if weight.kind in kinds)

    def __str__(self) -> str:
        rows = [
            [
                each.path,
                each.kind,
                f"{each.numbers:,}",
                f"{each.may_move:,}",
                f"{each.moved:,}",
                f"{each.largest_step:.3g}",
            ]
            for each in self.weights
            if each.moved or each.may_move
        ]
        table = make_table("What training moved", HEADS, rows, texts=HEADS[:2])
        parts = (self.macs, self.forward_macs, self.input_macs, self.weight_macs)
        return as_text([table], [NOTE.format(*parts)])


def update_report(
    model: keras.Model, before: Sequence[Any], x: Inputs = None, *, optimizer: Any = None
) -> UpdateReport:
    """Tell what training has moved, by weight and kind, and what an update costs.

    Args:
        model: A model compiled with a `MaskedUpdate`.
        before: What `model.get_weights()` gave before the training.
        x: Inputs for the sizes that the model leaves open. Defaults to `None`.
        optimizer: The `MaskedUpdate` of a training loop of your own. Defaults to `None`: that of
            the compiled model.

    Returns:
        An `UpdateReport`.

    Raises:
        ValueError: If `before` does not hold the weights of this model or there is no
            `MaskedUpdate`.

    Examples:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile(keras_dynamicgate.plasticity.MaskedUpdate("sgd"), "mse")
        >>> keras_dynamicgate.plasticity.set_update_mode(model, "biases")
        >>> before = model.get_weights()
        >>> history = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
        >>> keras_dynamicgate.plasticity.update_report(model, before).moved()
        1
    """
    optimizer = masked_optimizer(model, optimizer)
    masks = {
        id(weight): ops.convert_to_numpy(mask)
        for weight, mask in zip(optimizer.trained_variables, optimizer.masks, strict=True)
    }
    _check(model, before)
    networks = [layer.gate.network for layer in gated_layers(model)]
    of_gates = {id(weight) for network in networks for weight in network.trainable_weights}
    weights = [
        _update(weight, old, masks.get(id(weight)), id(weight) in of_gates)
        for weight, old in zip(model.weights, before, strict=True)
    ]
    return UpdateReport(weights, *_macs(model, masks, x))


def _update(
    weight: keras.Variable, old: Any, mask: np.ndarray | None, of_gate: bool
) -> WeightUpdate:
    now, old = (np.asarray(ops.convert_to_numpy(each)) for each in (weight, old))
    moved = now != old
    step = np.abs(now.astype("float64") - old.astype("float64"))
    kind = "state" if mask is None else "gate" if of_gate else "weight"
    return WeightUpdate(
        weight.path,
        kind,
        now.size,
        0 if mask is None else int(mask.sum()),
        int(moved.sum()),
        float(step.max(initial=0.0)),
    )


def _macs(
    model: keras.Model, masks: dict[int, np.ndarray], x: Inputs
) -> tuple[float, float, float]:
    """Give the multiply-accumulates of an update: forward, by inputs and by weights."""
    cost = model_cost(model, x)
    forward = by_inputs = by_weights = 0.0
    learns = False
    for name, products in cost.products.items():
        gate = cost.gates.get(name)
        network = [] if gate is None else gate.network.trainable_weights
        of_gate = _share(network, masks)
        for product in products:
            kernel = getattr(product.layer, "kernel", None)
            share = of_gate if product.of_gate else _share([kernel], masks)
            forward += product.macs
            by_inputs += product.macs * learns
            by_weights += product.macs * share
        learns = learns or any(_share([w], masks) for w in _weights(products, network))
    return forward, by_inputs, by_weights


def _weights(products: Sequence[Any], network: Sequence[Any]) -> list[Any]:
    layers = [product.layer for product in products if product.layer is not None]
    return [*network, *(weight for layer in layers for weight in layer.trainable_weights)]


def _share(weights: Sequence[Any], masks: dict[int, np.ndarray]) -> float:
    """Give the share of some weights that may move."""
    known = [masks[id(weight)] for weight in weights if id(weight) in masks]
    size = sum(mask.size for mask in known)
    return float(sum(mask.sum() for mask in known)) / size if size else 0.0


def _check(model: keras.Model, before: Sequence[Any]) -> None:
    """Raise a `ValueError` unless arrays have the shapes of the weights of a model."""
    shapes = [tuple(np.shape(each)) for each in before]
    expected = [tuple(weight.shape) for weight in model.weights]
    if shapes != expected:
        raise ValueError(
            "Argument `before` must be what `model.get_weights()` gave before the training: "
            f"{len(expected)} arrays in the shapes of the weights. Received: {len(shapes)} arrays "
            f"of shapes {shapes[:5]}"
        )
