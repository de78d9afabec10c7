"""Rules of layers that put several tensors together, of reshaping and of static gates."""

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_dynamicgate.compaction.flat_model import Slot, Step
from keras_dynamicgate.compaction.rule import Rule
from keras_dynamicgate.compaction.unit_rules import UnitWise

if TYPE_CHECKING:
    from keras_dynamicgate.compaction.rebuild import NewLayers


class Merge(UnitWise):
    """`Add` and the like: a feature goes only if it is constant on all sides."""

    def __init__(self) -> None:
        super().__init__("another input of this layer has them open")

    def refusal(self, step: Step) -> str | None:
        shapes = [slot.shape for slot in step.inputs]
        if len(shapes) < 2:
            return "it has a single input"
        if any(len(shape) != len(shapes[0]) or shape[-1] != shapes[0][-1] for shape in shapes):
            return "its inputs differ in rank or in their number of features"
        return None

    def constants(self, step: Step) -> list[np.ndarray]:
        combine = COMBINE[type(step.operation).__name__]
        return [combine([slot.constants for slot in step.inputs])]


class Multiplied(Merge):
    """`Multiply`: a feature that is 0 on one side is 0."""

    def constants(self, step: Step) -> list[np.ndarray]:
        constants = [slot.constants for slot in step.inputs]
        closed = np.any([values == 0 for values in constants], axis=0)
        return [np.where(closed, 0.0, np.prod(constants, axis=0))]


# NaN, which is not known, on one side makes NaN in all of them.
COMBINE = {
    "Add": lambda constants: np.sum(constants, axis=0),
    "Subtract": lambda constants: constants[0] - constants[1],
    "Average": lambda constants: np.mean(constants, axis=0),
    "Maximum": lambda constants: np.max(constants, axis=0),
    "Minimum": lambda constants: np.min(constants, axis=0),
}


class Concatenated(Rule):
    """`Concatenate` on the last axis: each input is read as far as its part is needed."""

    def refusal(self, step: Step) -> str | None:
        last = len(step.outputs[0].shape) - 1
        return None if step.operation.axis in (-1, last) else "it does not join the last axis"

    def constants(self, step: Step) -> list[np.ndarray]:
        return [np.concatenate([slot.constants for slot in step.inputs])]

    def wants(self, step: Step) -> list[np.ndarray]:
        ends = np.cumsum([slot.width for slot in step.inputs])
        return np.split(step.outputs[0].needed, ends[:-1])

    def keeps(self, step: Step) -> list[np.ndarray]:
        return [step.outputs[0].needed]

    def stays(self, step: Step) -> list[tuple[Slot, np.ndarray, str | None]]:
        return []

    def build(self, step: Step, args: Any, kwargs: Any, layers: "NewLayers") -> Any:
        tensors = [tensor for tensor in args[0] if tensor is not None]
        if len(tensors) == 1:
            return tensors[0]
        return super().build(step, (tensors,), kwargs, layers)


class Reshaped(Rule):
    """`Flatten` and `Reshape`, where one number of features divides the other.

    With row-major order, feature `i` of the wider axis is then feature `i % narrow` of the
    narrower one, whatever the other axes are.
    """

    def refusal(self, step: Step) -> str | None:
        old, new = step.inputs[0].shape, step.outputs[0].shape
        if getattr(step.operation, "data_format", None) == "channels_first":
            return "its channels are not on the last axis"
        if len(old) < 2 or len(new) < 2 or None in (old[-1], new[-1]):
            return "an axis of unknown size takes part"
        divides = old[-1] % new[-1] == 0 or new[-1] % old[-1] == 0
        return None if divides else "the reshape mixes features and positions"

    def constants(self, step: Step) -> list[np.ndarray]:
        constants, width = step.inputs[0].constants, step.outputs[0].width
        if width >= constants.size:
            return [np.tile(constants, width // constants.size)]
        rows = constants.reshape(-1, width)
        return [np.where((rows == rows[0]).all(axis=0), rows[0], np.nan)]

    def wants(self, step: Step) -> list[np.ndarray]:
        return [_spread(step.outputs[0].needed, step.inputs[0].width)]

    def keeps(self, step: Step) -> list[np.ndarray]:
        return [_spread(step.wants[0], step.outputs[0].width)]

    def stays(self, step: Step) -> list[tuple[Slot, np.ndarray, str | None]]:
        (slot,), (want,) = step.inputs, step.wants
        known = _spread(step.outputs[0].known, slot.width)
        return [(slot, slot.known & ~known & want, "the reshape puts open units in their places")]

    def why_unneeded(self, step: Step) -> str | None:
        return None

    def build(self, step: Step, args: Any, kwargs: Any, layers: "NewLayers") -> Any:
        changes = {}
        if isinstance(step.operation, keras.layers.Reshape):
            kept = int(step.outputs[0].kept.sum())
            changes["target_shape"] = (*step.operation.target_shape[:-1], kept)
        layer, _ = layers.copy(step, changes)
        return layer(*args, **kwargs)


def _spread(mask: Any, width: int) -> np.ndarray:
    """Carry a mask of features over to a wider or narrower axis."""
    if width >= mask.size:
        return np.tile(mask, width // mask.size)
    return mask.reshape(-1, width).any(axis=0)


class Mask(UnitWise):
    """`StaticMask`: closed features are 0, and what they were before is not needed."""

    def refusal(self, step: Step) -> str | None:
        return None

    def constants(self, step: Step) -> list[np.ndarray]:
        return [np.where(step.operation.open, step.inputs[0].constants, 0.0)]

    def stays(self, step: Step) -> list[tuple[Slot, np.ndarray, str | None]]:
        return []

    def build(self, step: Step, args: Any, kwargs: Any, layers: "NewLayers") -> Any:
        tensor, mask = args[0], step.operation
        is_open = mask.open[step.outputs[0].kept]
        if is_open.all() and tensor.dtype == step.outputs[0].dtype:
            return tensor
        arguments = {"dtype": mask.dtype, "name": layers.name(step.name)}
        if is_open.all():
            return keras.layers.Identity(**arguments)(tensor)
        # Closed features that must stay, for the shape of a sum or of an output.
        scale = is_open.astype("float32").tolist()
        return keras.layers.Rescaling(scale, **arguments)(tensor)
