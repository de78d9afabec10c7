"""Which rule a step follows."""

from collections import Counter

import keras

from keras_dynamicgate.compaction.flat_model import Slot, StaticMask, Step
from keras_dynamicgate.compaction.gated_rules import GatedConv2D, GatedDense, GatedMLP
from keras_dynamicgate.compaction.merge_rules import Concatenated, Mask, Merge, Multiplied, Reshaped
from keras_dynamicgate.compaction.product_rules import Embedded, Grouped, ProductRule, Separable
from keras_dynamicgate.compaction.rule import Rule
from keras_dynamicgate.compaction.unit_rules import (
    Activation,
    Depthwise,
    Mapped,
    Normalized,
    Padding,
    ParametricReLU,
    Rescaled,
    Standardized,
    UnitWise,
)
from keras_dynamicgate.graph.element_wise import is_element_wise
from keras_dynamicgate.graph.layer_types import IDENTITIES, PADDING, POOLING, RESIZING, by_name
from keras_dynamicgate.layers.dynamic_gate import DynamicGate
from keras_dynamicgate.layers.dynamic_gate_conv2d import DynamicGateConv2D
from keras_dynamicgate.layers.dynamic_gate_dense import DynamicGateDense
from keras_dynamicgate.layers.dynamic_gate_mlp import DynamicGateMLP

RULES = {
    StaticMask: Mask(),
    DynamicGate: Rule("its gates depend on its input"),
    DynamicGateConv2D: GatedConv2D(),
    DynamicGateDense: GatedDense(),
    DynamicGateMLP: GatedMLP(),
    **by_name(ProductRule(), "Dense", "Conv1D", "Conv2D", "Conv3D"),
    **by_name(Separable(), "SeparableConv1D", "SeparableConv2D"),
    **by_name(Depthwise(), "DepthwiseConv1D", "DepthwiseConv2D"),
    **by_name(Embedded(), "Embedding"),
    **by_name(UnitWise(), *IDENTITIES, *POOLING, *RESIZING),
    **by_name(Padding(), *PADDING),
    **by_name(Activation(), "Activation"),
    **by_name(Mapped(), "ReLU", "LeakyReLU", "ELU"),
    **by_name(ParametricReLU(), "PReLU"),
    **by_name(Normalized(), "BatchNormalization"),
    **by_name(Rescaled(), "Rescaling"),
    **by_name(Standardized(), "Normalization"),
    **by_name(Reshaped(), "Flatten", "Reshape"),
    **by_name(Concatenated(), "Concatenate"),
    **by_name(Merge(), "Add", "Subtract", "Average", "Maximum", "Minimum"),
    **by_name(Multiplied(), "Multiply"),
}

# `x + y` on the tensors of a model makes operations that are no layers; their classes are private.
OPERATION_RULES = {
    **dict.fromkeys(("Add", "Subtract", "Maximum", "Minimum"), Merge()),
    "Multiply": Multiplied(),
}
CALCULATED = Mapped()

GROUPED = by_name(Grouped(), "Conv1D", "Conv2D", "Conv3D")


def choose_rules(steps: list[Step]) -> None:
    """Give every step its rule."""
    uses = Counter(id(step.operation) for step in steps)
    for step in steps:
        step.rule = _choose(step, uses[id(step.operation)])


def _choose(step: Step, uses: int) -> Rule:
    operation = step.operation
    if uses > 1 and getattr(operation, "weights", None):
        return Rule("it is called more than once, on different inputs")
    if step.kwargs or not all(isinstance(leaf, Slot) for leaf in keras.tree.flatten(step.args)):
        if is_element_wise(operation) and _has_one_tensor(step):
            return CALCULATED
        known = type(operation) in RULES or type(operation).__name__ in OPERATION_RULES
        return Rule("it is called with further arguments" if known else _no_rule(operation))
    if getattr(operation, "quantization_mode", None) is not None:
        return Rule("it is quantized")
    rule = RULES.get(type(operation))
    if type(operation) in GROUPED and operation.groups != 1:
        rule = GROUPED[type(operation)]
    if not isinstance(operation, keras.layers.Layer) and rule is None:
        rule = OPERATION_RULES.get(type(operation).__name__)
    if rule is None:
        return Rule(_no_rule(operation))
    reason = rule.refusal(step)
    return rule if reason is None else Rule(reason)


def _no_rule(operation: keras.Operation) -> str:
    return f"no rule says what a {type(operation).__name__} does to closed units"


def _has_one_tensor(step: Step) -> bool:
    """Tell whether all that a step is called with is one tensor and plain numbers."""
    leaves = keras.tree.flatten((step.args, step.kwargs))
    return len(step.inputs) == 1 and all(isinstance(leaf, (Slot, int, float)) for leaf in leaves)
