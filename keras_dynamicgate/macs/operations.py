"""What the operations of `keras.ops` cost, in models (`x + y`) and inside unfolded layers."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating.cost import Flow, Product
from keras_dynamicgate.gating.openness import Open
from keras_dynamicgate.graph.element_wise import ELEMENT_WISE
from keras_dynamicgate.macs import rules
from keras_dynamicgate.macs.products import Cost, Rule
from keras_dynamicgate.utils.types import Shape, Tensor

Arguments = tuple[Any, ...]
Keywords = dict[str, Any]

# From an operation, its arguments with flows in the places of tensors and the shape of its (first)
# output, with the batch axis, to its cost, or to `None` for a call that the rule does not cover.
OperationRule = Callable[[keras.Operation, Arguments, Keywords, Shape], Cost | None]


def rule_of(operation: keras.Operation) -> OperationRule | None:
    """Give the rule of an operation that is no layer, or `None` if there is none."""
    if isinstance(operation, keras.layers.Layer):
        return None
    # Keras keeps the classes private, so look them up by name.
    own = type(operation).__module__.startswith("keras.")
    return OPERATION_RULES.get(type(operation).__name__) if own else None


def matrix_product(
    operation: keras.Operation, args: Arguments, kwargs: Keywords, shape: Shape
) -> Cost:
    """Rule of `matmul` and `dot`."""
    left, right = _operands(args, kwargs)
    macs = math.prod(shape) * _full_shape(left)[-1]
    return [Product(macs, _open_rows(left, right))], Flow(shape[1:])


def einsum(
    operation: keras.Operation, args: Arguments, kwargs: Keywords, shape: Shape
) -> Cost | None:
    """Rule of `einsum` on two operands: the product of the sizes of all letters."""
    operands = _operands(args, kwargs)
    if len(operands) != 2 or "->" not in operation.subscripts:
        return None
    inputs, output = operation.subscripts.replace(" ", "").split("->")
    terms = [
        _without_dots(term, len(_full_shape(operand)))
        for term, operand in zip(inputs.split(","), operands, strict=True)
    ]
    sizes: dict[str, int] = {}
    for term, operand in zip(terms, operands, strict=True):
        for letter, size in zip(term, _full_shape(operand), strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    contracts_last = terms[0][-1] in terms[1] and terms[0][-1] not in output
    inputs_open = _open_rows(*operands) if contracts_last else None
    return [Product(math.prod(sizes.values()), inputs_open)], Flow(shape[1:])


def _without_dots(term: str, rank: int) -> str:
    """Write letters for the axes that `...` stands for in a term of an equation."""
    missing = rank - len(term.replace("...", ""))
    return term.replace("...", "".join(chr(ord("\u03c9") - axis) for axis in range(missing))[::-1])


def _open_rows(left: Flow | Tensor, right: Flow | Tensor) -> Open | None:
    """Give the open rows of a kernel; a product of two activations counts in full."""
    return left.nonzero if isinstance(left, Flow) and not isinstance(right, Flow) else None


def tensor_product(
    operation: keras.Operation, args: Arguments, kwargs: Keywords, shape: Shape
) -> Cost | None:
    """Rule of `tensordot` and `inner` with a kernel."""
    left, right = _operands(args, kwargs)
    if isinstance(right, Flow) or not isinstance(left, Flow):
        return None  # samples would meet each other
    sizes = _full_shape(left)
    axes = getattr(operation, "axes", 1)
    contracted = range(-axes, 0) if isinstance(axes, int) else np.atleast_1d(axes[0])
    shared = [axis % len(sizes) for axis in contracted]
    macs = math.prod(sizes) * math.prod(right.shape) // math.prod(sizes[axis] for axis in shared)
    return [Product(macs, left.nonzero if shared == [len(sizes) - 1] else None)], Flow(shape[1:])


def convolution(
    operation: keras.Operation, args: Arguments, kwargs: Keywords, shape: Shape
) -> Cost | None:
    """Rule of `conv`, `depthwise_conv`, `separable_conv` and `conv_transpose`."""
    inputs, *kernels = _operands(args, kwargs)
    if not isinstance(inputs, Flow) or any(isinstance(kernel, Flow) for kernel in kernels):
        return None
    last = (operation.data_format or keras.config.image_data_format()) == "channels_last"
    # A transposed convolution multiplies its whole kernel at each position of its input.
    visited = inputs.full_shape if type(operation).__name__ == "ConvTranspose" else shape
    spatial = math.prod(visited[:-1] if last else (visited[0], *visited[2:]))
    channels = inputs.shape[-1 if last else 0]
    reads_all = type(operation).__name__ != "Conv" or kernels[0].shape[-2] == channels
    rows = inputs.channels_read(padded=True) if last and reads_all else None
    return [Product(spatial * math.prod(kernel.shape), rows) for kernel in kernels], Flow(shape[1:])


def attention(operation: keras.Operation, args: Arguments, kwargs: Keywords, shape: Shape) -> Cost:
    """Rule of `dot_product_attention`: the scores and the weighted values."""
    query, key, value = _operands(args, kwargs)[:3]
    scores = math.prod(query.full_shape[:3]) * key.shape[0]
    return [Product(scores * query.shape[2]), Product(scores * value.shape[2])], Flow(shape[1:])


def element_wise(
    operation: keras.Operation, args: Arguments, kwargs: Keywords, shape: Shape
) -> Cost | None:
    """Rule of operations on each number: closed features stay closed if all positions are alike."""
    flows = flows_in(args, kwargs)
    if any(flow.full_shape != shape for flow in flows):
        return [], Flow(shape[1:])
    if len(flows) > 1:
        merge = MERGES.get(type(operation).__name__, rules.opening)
        return merge(operation, flows, shape[1:])
    (flow,) = flows
    if flow.open is None:
        return rules.unit_wise(operation, flows, shape[1:])
    # Run the operation itself, since its constants are among its arguments.
    at_zero = _at(0.0, operation, args, kwargs)
    if flow.closed_at_zero and not np.any(at_zero):
        return rules.unit_wise(operation, flows, shape[1:])
    values = [at_zero] if flow.closed_at_zero else [at_zero, _at(1.0, operation, args, kwargs)]
    if any(np.any(rows != rows[0]) for rows in values):
        return [], Flow(shape[1:], producers=flow.producers)
    return rules.shifted(operation, flows, shape[1:])


def _at(value: float, operation: keras.Operation, args: Arguments, kwargs: Keywords) -> np.ndarray:
    """Give what an operation makes of a tensor full of one value, a row for each position."""
    args, kwargs = keras.tree.map_structure(
        lambda leaf: ops.full((1, *leaf.shape), value) if isinstance(leaf, Flow) else leaf,
        (args, kwargs),
    )
    values: np.ndarray = ops.convert_to_numpy(operation(*args, **kwargs))
    return values.reshape(-1, values.shape[-1])


def by_flows(rule: Rule) -> OperationRule:
    """Make a rule of operations from one of layers."""
    return lambda operation, args, kwargs, shape: rule(operation, flows_in(args, kwargs), shape[1:])


def flows_in(args: Arguments, kwargs: Keywords) -> list[Flow]:
    """List the flows among the arguments of a call, in their order."""
    return [leaf for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, Flow)]


def _operands(args: Arguments, kwargs: Keywords) -> list[Flow | Tensor]:
    return [leaf for leaf in keras.tree.flatten((args, kwargs)) if hasattr(leaf, "shape")]


def _full_shape(operand: Flow | Tensor) -> Shape:
    """Give the shape of an operand with the batch axis."""
    return operand.full_shape if isinstance(operand, Flow) else tuple(operand.shape)


MERGES: dict[str, Rule] = {
    **dict.fromkeys(("Add", "Subtract", "Maximum", "Minimum"), rules.added),
    "Multiply": rules.multiplied,
}

# Without a product: they move numbers, add them up or compare them.
OPENING = """
    AdaptiveAveragePool AdaptiveMaxPool All AllClose Amax Amin Any Append Argmax Argmin
    Argpartition Argsort ArraySplit AveragePool BatchNorm BitwiseAnd BitwiseInvert BitwiseNot
    BitwiseOr BitwiseXor BroadcastTo Copy CountNonzero CropImages Cumprod Cumsum DepthToSpace
    Diag Diagflat Diagonal Diff Dsplit Dstack EmptyLike Equal ExpandDims Flip Fliplr Flipud
    FloorDivide Fold Full FullLike GetItem Glu Greater GreaterEqual Hsplit Hstack IsIn Isclose
    Isfinite Isinf Isnan Isneginf Isposinf Isreal LayerNorm Less LessEqual LogSoftmax LogicalAnd
    LogicalNot LogicalOr LogicalXor Logsumexp Max MaxPool Mean Median Min Mod Moments Moveaxis
    MultiHot Nanargmax Nanargmin Nancumprod Nancumsum Nanmax Nanmean Nanmedian Nanmin
    Nanpercentile Nanprod Nanquantile Nanstd Nansum Nanvar Normalize NotEqual OneHot OnesLike
    Pad PadImages Percentile Prod Ptp Quantile RMSNorm Ravel Repeat Resize Roll Rot90
    ScatterUpdate SearchSorted SegmentMax SegmentMin SegmentSum Signbit Slice SliceUpdate
    Softmax Sort SpaceToDepth Sparsemax Split Squeeze Stack Std Sum Swapaxes Take TakeAlongAxis
    Tile TopK Trace Transpose Tril Triu Unfold Unstack Var Vsplit Vstack Where ZerosLike
""".split()  # noqa: SIM905

OPERATION_RULES: dict[str, OperationRule] = {
    **dict.fromkeys(ELEMENT_WISE, element_wise),
    **dict.fromkeys(OPENING, by_flows(rules.opening)),
    **dict.fromkeys(("Dot", "Matmul"), matrix_product),
    "Concatenate": by_flows(rules.concatenate),
    "DotProductAttention": attention,
    "Einsum": einsum,
    **dict.fromkeys(("Inner", "Tensordot"), tensor_product),
    **dict.fromkeys(("Conv", "ConvTranspose", "DepthwiseConv", "SeparableConv"), convolution),
    "Reshape": by_flows(rules.reshape),
}
