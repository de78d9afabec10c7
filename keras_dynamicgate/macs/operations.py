"""What the operations of `keras.ops` cost, in models (`x + y`) and inside unfolded layers.

A rule is a function `rule(operation, args, kwargs, shape)` from the operation, its arguments with
flows in the places of tensors and the shape of its (first) output to its products and output flow.
It gives `None` for a call that it does not cover.
"""

import math

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating.cost import Flow, Product
from keras_dynamicgate.graph.element_wise import ELEMENT_WISE
from keras_dynamicgate.macs import rules


def rule_of(operation):
    """Give the rule of an operation that is no layer, or `None` if there is none."""
    if isinstance(operation, keras.layers.Layer):
        return None
    # Keras keeps the classes private, so they go by their names.
    own = type(operation).__module__.startswith("keras.")
    return OPERATION_RULES.get(type(operation).__name__) if own else None


def matrix_product(operation, args, kwargs, shape):
    """Rule of `matmul` and `dot`."""
    left, right = _operands(args, kwargs)
    macs = math.prod(shape) * _full_shape(left)[-1]
    return [Product(macs, _open_rows(left, right))], Flow(shape)


def einsum(operation, args, kwargs, shape):
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
    return [Product(math.prod(sizes.values()), inputs_open)], Flow(shape)


def _without_dots(term, rank):
    """Write letters for the axes that `...` stands for in a term of an equation."""
    missing = rank - len(term.replace("...", ""))
    return term.replace("...", "".join(chr(ord("\u03c9") - axis) for axis in range(missing))[::-1])


def _open_rows(left, right):
    """Give the open rows of a kernel; a product of two activations counts in full."""
    return left.open if isinstance(left, Flow) and not isinstance(right, Flow) else None


def attention(operation, args, kwargs, shape):
    """Rule of `dot_product_attention`: the scores and the weighted values."""
    query, key, value = _operands(args, kwargs)[:3]
    scores = math.prod(query.shape[:2]) * key.shape[0]
    return [Product(scores * query.shape[2]), Product(scores * value.shape[2])], Flow(shape)


def element_wise(operation, args, kwargs, shape):
    """Rule of operations on each number: closed features stay closed if 0 is turned into 0."""
    flows = _flows(args, kwargs)
    if any(flow.shape != shape for flow in flows):
        return [], Flow(shape)
    if len(flows) > 1:
        merge = MERGES.get(type(operation).__name__, rules.opening)
        return merge(operation, flows, shape)
    (flow,) = flows
    # The operation itself, since its constants are among its arguments.
    if flow.open is not None and np.any(ops.convert_to_numpy(_at_zero(operation, args, kwargs))):
        return rules.shifted(operation, flows, shape)
    return rules.unit_wise(operation, flows, shape)


def _at_zero(operation, args, kwargs):
    args, kwargs = keras.tree.map_structure(
        lambda leaf: ops.zeros((1, *leaf.shape)) if isinstance(leaf, Flow) else leaf,
        (args, kwargs),
    )
    return operation(*args, **kwargs)


def by_flows(rule):
    """Make a rule of operations from one of layers."""
    return lambda operation, args, kwargs, shape: rule(operation, _flows(args, kwargs), shape)


def _flows(args, kwargs):
    return [leaf for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, Flow)]


def _operands(args, kwargs):
    return [leaf for leaf in keras.tree.flatten((args, kwargs)) if hasattr(leaf, "shape")]


def _full_shape(operand):
    """Give the shape of an operand, that of a flow for one sample."""
    return (1, *operand.shape) if isinstance(operand, Flow) else tuple(operand.shape)


MERGES = {
    **dict.fromkeys(("Add", "Subtract", "Maximum", "Minimum"), rules.added),
    "Multiply": rules.multiplied,
}

# Without a product: they move numbers, add them up or compare them.
OPENING = """
    All Amax Amin Any Argmax Argmin Argsort AveragePool BatchNorm BroadcastTo
    CountNonzero Cumprod Cumsum Equal ExpandDims Flip FloorDivide Full FullLike GetItem Glu Greater
    GreaterEqual Isfinite Isinf Isnan LayerNorm Less LessEqual LogSoftmax LogicalAnd LogicalNot
    LogicalOr LogicalXor Logsumexp Max MaxPool Mean Min Mod Moments Moveaxis Normalize NotEqual
    OneHot OnesLike Pad Prod RMSNorm Repeat Roll Slice SliceUpdate Softmax Sort Split Squeeze Stack
    Std Sum Swapaxes Take TakeAlongAxis Tile TopK Transpose Tril Triu Unstack Var Where ZerosLike
""".split()  # noqa: SIM905

OPERATION_RULES = {
    **dict.fromkeys(ELEMENT_WISE, element_wise),
    **dict.fromkeys(OPENING, by_flows(rules.opening)),
    **dict.fromkeys(("Dot", "Matmul"), matrix_product),
    "Concatenate": by_flows(rules.concatenate),
    "DotProductAttention": attention,
    "Einsum": einsum,
    "Reshape": by_flows(rules.reshape),
}
