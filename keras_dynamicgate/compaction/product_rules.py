"""Rules of products: rows of closed inputs and columns of unneeded outputs go."""

from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from keras_dynamicgate.compaction.flat_model import Slot, Step
from keras_dynamicgate.compaction.rule import ONE_MUST_STAY, Rule, at_least_one
from keras_dynamicgate.graph.element_wise import is_feature_wise
from keras_dynamicgate.graph.layer_types import is_padded

if TYPE_CHECKING:
    from keras_dynamicgate.compaction.rebuild import NewLayers

WHOLE_GROUPS = "it works in groups of channels, which go as wholes"
ACROSS_UNITS = "its activation works across units or is not one of Keras's"


def image(activation: Any, row: np.ndarray) -> np.ndarray:
    """Give the values of an activation on an array, as an array of float64."""
    if activation is None:
        return row
    values = activation(ops.convert_to_tensor(np.asarray(row, "float32")))
    return ops.convert_to_numpy(values).astype("float64")


class ProductRule(Rule):
    """`Dense` and convolutions, of kernel `(..., inputs, outputs)`.

    A constant input adds the same to an output at all positions, as a bias does.
    """

    def refusal(self, step: Step) -> str | None:
        layer = step.operation
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            return "its channels are not on the last axis"
        return None

    def foldable(self, step: Step) -> np.ndarray:
        """Tell which inputs are constant and act as a bias."""
        slot, layer = step.inputs[0], step.operation
        # Padding puts zeros beside the constant: at the border its sum is another one.
        padded = hasattr(layer, "padding") and is_padded(layer)
        return slot.constants == 0 if padded else slot.known

    def constants(self, step: Step) -> list[np.ndarray]:
        slot, layer = step.inputs[0], step.operation
        if not self.foldable(step).all():
            return super().constants(step)
        kernel, bias = _weights(layer)
        return [image(layer.activation, slot.constants @ over_positions(kernel) + bias)]

    def spares(self, step: Step) -> bool:
        return True

    def wants(self, step: Step) -> list[np.ndarray]:
        return [at_least_one(~self.foldable(step))]

    def keeps(self, step: Step) -> list[np.ndarray]:
        slot = step.outputs[0]
        return [slot.needed if is_feature_wise(step.operation.activation) else slot.all()]

    def stays(self, step: Step) -> list[tuple[Slot, np.ndarray, str | None]]:
        slot, foldable = step.inputs[0], self.foldable(step)
        return [
            (slot, slot.known & ~foldable, "its padding puts zeros beside a constant"),
            (slot, foldable & step.wants[0], ONE_MUST_STAY),
        ]

    def why_unneeded(self, step: Step) -> str | None:
        return ACROSS_UNITS

    def build(self, step: Step, args: Any, kwargs: Any, layers: "NewLayers") -> Any:
        operation, kept = step.operation, step.outputs[0].kept
        kernel, bias = _weights(operation)
        folded = bias + folded_constants(step, over_positions(kernel))
        use_bias = operation.use_bias or bool(np.any(folded[kept]))
        size = "filters" if "filters" in operation.get_config() else "units"
        layer, _ = layers.copy(step, {size: int(kept.sum()), "use_bias": use_bias, **WITHOUT_LORA})
        outputs = layer(*args, **kwargs)
        weights = [kernel[..., step.wants[0], :][..., kept], folded[kept]]
        layer.set_weights(weights[: 1 + use_bias])
        return outputs


class Grouped(ProductRule):
    """Convolutions in groups of channels, of kernel `(..., inputs of a group, outputs)`.

    Groups go as wholes, since all that are left must be of one size: those of whose outputs none
    is needed.
    """

    def constants(self, step: Step) -> list[np.ndarray]:
        layer, foldable = step.operation, self.foldable(step)
        kernel, bias = _weights(layer)
        groups = layer.groups
        known = foldable.reshape(groups, -1).all(axis=1)
        inputs = np.where(foldable, step.inputs[0].constants, 0.0).reshape(groups, -1)
        kernels = np.stack(np.split(over_positions(kernel), groups, axis=-1))
        sums = np.einsum("gi,gio->go", inputs, kernels).reshape(-1) + bias
        closed = np.repeat(known, bias.size // groups)
        return [np.where(closed, image(layer.activation, sums), np.nan)]

    def wants(self, step: Step) -> list[np.ndarray]:
        return [np.repeat(self._groups(step), step.inputs[0].width // step.operation.groups)]

    def keeps(self, step: Step) -> list[np.ndarray]:
        return [np.repeat(self._groups(step), step.outputs[0].width // step.operation.groups)]

    def _groups(self, step: Step) -> np.ndarray:
        """Tell which groups are needed."""
        slot, layer = step.outputs[0], step.operation
        needed = slot.needed if is_feature_wise(layer.activation) else slot.all()
        return np.any(needed.reshape(layer.groups, -1), axis=1)

    def stays(self, step: Step) -> list[tuple[Slot, np.ndarray, str | None]]:
        slot, (want,) = step.inputs[0], step.wants
        return [(slot, slot.known & want, WHOLE_GROUPS)]

    def why_unneeded(self, step: Step) -> str | None:
        return WHOLE_GROUPS

    def build(self, step: Step, args: Any, kwargs: Any, layers: "NewLayers") -> Any:
        operation, kept = step.operation, step.outputs[0].kept
        groups = int(self._groups(step).sum())
        layer, _ = layers.copy(step, {"filters": int(kept.sum()), "groups": groups, **WITHOUT_LORA})
        outputs = layer(*args, **kwargs)
        kernel, bias = _weights(operation)
        layer.set_weights([kernel[..., kept], bias[kept]][: 1 + operation.use_bias])
        return outputs


# What a LoRA adds is in the kernel by now.
WITHOUT_LORA = {"lora_rank": None, "lora_alpha": None}


def folded_constants(step: Step, kernel: np.ndarray) -> np.ndarray:
    """Give what the inputs that are not read any more add, in a kernel `(inputs, outputs)`."""
    unread = ~step.wants[0]
    return step.inputs[0].constants[unread] @ kernel[unread]


def _weights(layer: Any) -> tuple[np.ndarray, Any]:
    kernel = ops.convert_to_numpy(layer.kernel).astype("float64")
    bias = ops.convert_to_numpy(layer.bias) if layer.use_bias else np.zeros(kernel.shape[-1])
    return kernel, bias.astype("float64")


def over_positions(kernel: np.ndarray) -> np.ndarray:
    """Sum a kernel over the positions of its window, for inputs that are alike everywhere."""
    return kernel.sum(axis=tuple(range(kernel.ndim - 2)))


class Separable(ProductRule):
    """`SeparableConv`: a depthwise, then a 1x1 convolution; only zeros are folded."""

    def foldable(self, step: Step) -> np.ndarray:
        return step.inputs[0].constants == 0

    def constants(self, step: Step) -> list[np.ndarray]:
        return Rule.constants(self, step)

    def build(self, step: Step, args: Any, kwargs: Any, layers: "NewLayers") -> Any:
        operation, kept, wanted = step.operation, step.outputs[0].kept, step.wants[0]
        layer, _ = layers.copy(step, {"filters": int(kept.sum())})
        outputs = layer(*args, **kwargs)
        depthwise, pointwise, *bias = operation.get_weights()
        middle = np.repeat(wanted, operation.depth_multiplier)
        layer.set_weights(
            [
                depthwise[..., wanted, :],
                pointwise[..., middle, :][..., kept],
                *(values[kept] for values in bias),
            ]
        )
        return outputs


class Embedded(Rule):
    """`Embedding`: unneeded features are columns of its table."""

    def keeps(self, step: Step) -> list[np.ndarray]:
        return [step.outputs[0].needed]

    def stays(self, step: Step) -> list[tuple[Slot, np.ndarray, str | None]]:
        return []

    def build(self, step: Step, args: Any, kwargs: Any, layers: "NewLayers") -> Any:
        kept = step.outputs[0].kept
        changes = {"output_dim": int(kept.sum()), **WITHOUT_LORA}
        layer, _ = layers.copy(step, changes)
        outputs = layer(*args, **kwargs)
        layer.set_weights([ops.convert_to_numpy(step.operation.embeddings)[:, kept]])
        return outputs
