"""Rules of layers that keep each feature apart: what is removed before them is removed in them."""

import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.compaction.flat_model import Slot, Step
from keras_dynamicgate.compaction.product_rules import ACROSS_UNITS, image, over_positions
from keras_dynamicgate.compaction.rule import Rule
from keras_dynamicgate.graph.element_wise import is_feature_wise
from keras_dynamicgate.graph.layer_types import is_on_last_axis, is_padded

if TYPE_CHECKING:
    from keras_dynamicgate.compaction.rebuild import NewLayers


class UnitWise(Rule):
    """Layers without weights that give back a constant as it is: dropout, pooling, cropping."""

    def refusal(self, step: Step) -> str | None:
        if getattr(step.operation, "data_format", "channels_last") != "channels_last":
            return "its channels are not on the last axis"
        return None

    def constants(self, step: Step) -> list[np.ndarray]:
        return [step.inputs[0].constants]

    def spares(self, step: Step) -> bool:
        return any(slot.spares for slot in step.inputs)

    def wants(self, step: Step) -> list[Any]:
        return [step.outputs[0].needed for _ in step.inputs]

    def keeps(self, step: Step) -> list[np.ndarray]:
        return [step.outputs[0].needed]

    def stays(self, step: Step) -> list[tuple[Slot, np.ndarray, str | None]]:
        # Constants that go on as constants are the next step's matter.
        known = step.outputs[0].known
        return [
            (slot, slot.known & ~known & want, self.reason)
            for slot, want in zip(step.inputs, step.wants, strict=True)
        ]

    def why_unneeded(self, step: Step) -> str | None:
        return None


class Padding(UnitWise):
    """Layers that put zeros around: only a channel of zeros stays constant."""

    def __init__(self) -> None:
        super().__init__("it puts zeros around a constant that is not 0")

    def constants(self, step: Step) -> list[np.ndarray]:
        constants = step.inputs[0].constants
        return [np.where(constants == 0, 0.0, np.nan)]


class Mapped(UnitWise):
    """Layers that map each number by itself: a constant becomes another one.

    Operations such as `x + 3` do so as well, with the same further numbers for all.
    """

    def constants(self, step: Step) -> list[np.ndarray]:
        slot = step.inputs[0]
        if not slot.known.any():
            return [slot.constants]
        row = np.where(slot.known, slot.constants, 0.0).astype("float32")
        row = row.reshape((1,) * (len(slot.shape) - 1) + (-1,))
        args, kwargs = keras.tree.map_structure(
            lambda leaf: row if leaf is slot else leaf, (step.args, step.kwargs)
        )
        values = ops.convert_to_numpy(step.operation(*args, **kwargs))
        values = values.astype("float64").reshape(-1)
        return [np.where(slot.known, values, np.nan)]


class Rescaled(Mapped):
    """`Rescaling`, whose scale and offset may differ from feature to feature."""

    def refusal(self, step: Step) -> str | None:
        shapes = [np.shape(step.operation.scale), np.shape(step.operation.offset)]
        if any(math.prod(shape) not in (1, *shape[-1:]) for shape in shapes):
            return "it scales positions by different numbers"
        if keras.config.image_data_format() != "channels_last" and shapes != [(), ()]:
            return "its channels are not on the last axis"
        return None

    def build(self, step: Step, args: Any, kwargs: Any, layers: "NewLayers") -> Any:
        layer, wanted = step.operation, step.wants[0]
        changes = {"scale": _part(layer.scale, wanted), "offset": _part(layer.offset, wanted)}
        return layers.copy(step, changes)[0](*args, **kwargs)


class Standardized(Mapped):
    """`Normalization` on the last axis or as a whole: its statistics become constants."""

    def refusal(self, step: Step) -> str | None:
        on_last_axis = is_on_last_axis(step.operation, len(step.inputs[0].shape))
        return None if on_last_axis else "it does not work on the last axis"

    def build(self, step: Step, args: Any, kwargs: Any, layers: "NewLayers") -> Any:
        layer, wanted = step.operation, step.wants[0]
        changes = {"mean": _part(layer.mean, wanted), "variance": _part(layer.variance, wanted)}
        return layers.copy(step, changes)[0](*args, **kwargs)


def _part(values: Any, wanted: np.ndarray) -> Any:
    """Give the wanted values of a parameter of a layer, a number if it is one for all features."""
    values = ops.convert_to_numpy(values).reshape(-1)
    return float(values[0]) if values.size == 1 else values[wanted].tolist()


class Activation(Mapped):
    """`Activation` with a function that maps each number by itself."""

    def refusal(self, step: Step) -> str | None:
        return None if is_feature_wise(step.operation.activation) else ACROSS_UNITS


class Normalized(Standardized):
    """`BatchNormalization` on the last axis: a mapping with weights for each feature."""

    def build(self, step: Step, args: Any, kwargs: Any, layers: "NewLayers") -> Any:
        layer, _ = layers.copy(step)
        outputs = layer(*args, **kwargs)
        wanted = step.wants[0]
        layer.set_weights(
            [
                weight[..., wanted] if weight.shape[-1] == wanted.size else weight
                for weight in step.operation.get_weights()
            ]
        )
        return outputs


class ParametricReLU(Normalized):
    """`PReLU`, whose slope may differ from position to position."""

    def refusal(self, step: Step) -> str | None:
        return None

    def constants(self, step: Step) -> list[np.ndarray]:
        constants = step.inputs[0].constants
        return [np.where(constants >= 0, constants, np.nan)]


class Depthwise(UnitWise):
    """`DepthwiseConv`: each input channel has `depth_multiplier` output channels."""

    def __init__(self) -> None:
        super().__init__("its output for a constant that is not 0 differs at the border")

    def refusal(self, step: Step) -> str | None:
        if not is_feature_wise(step.operation.activation):
            return ACROSS_UNITS
        return super().refusal(step)

    def constants(self, step: Step) -> list[np.ndarray]:
        layer, slot = step.operation, step.inputs[0]
        kernel, *bias = (weights.astype("float64") for weights in layer.get_weights())
        known = slot.constants == 0 if is_padded(layer) else slot.known
        sums = over_positions(kernel) * np.where(known, slot.constants, 0.0)[:, None]
        values = image(layer.activation, sums.reshape(-1) + (bias[0] if bias else 0.0))
        return [np.where(np.repeat(known, layer.depth_multiplier), values, np.nan)]

    def wants(self, step: Step) -> list[Any]:
        needed = step.outputs[0].needed.reshape(-1, step.operation.depth_multiplier)
        return [needed.any(axis=1)]

    def keeps(self, step: Step) -> list[np.ndarray]:
        return [np.repeat(step.wants[0], step.operation.depth_multiplier)]

    def stays(self, step: Step) -> list[tuple[Slot, np.ndarray, str | None]]:
        slot = step.inputs[0]
        lost = slot.known & (slot.constants != 0) & is_padded(step.operation)
        return [(slot, lost & step.wants[0], self.reason)]

    def build(self, step: Step, args: Any, kwargs: Any, layers: "NewLayers") -> Any:
        layer, _ = layers.copy(step)
        outputs = layer(*args, **kwargs)
        kernel, *bias = step.operation.get_weights()
        kept = step.outputs[0].kept
        layer.set_weights([kernel[..., step.wants[0], :], *(values[kept] for values in bias)])
        return outputs
