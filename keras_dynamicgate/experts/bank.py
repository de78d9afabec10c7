"""A bank of experts whose weights are stacked, and what one of its experts does."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_dynamicgate import graph
from keras_dynamicgate.graph.unfold import record
from keras_dynamicgate.graph.view import View

# For recording: any number that is not 1, which is that of the experts.
ROWS = 2


class ExpertBank:
    """The experts of a layer that computes all of them for every token.

    Args:
        layer: A built layer.
        function: The function of the layer's class that computes the experts: from the layer and
            tokens of shape `(tokens, features)` to outputs of shape `(experts, tokens, units)` or,
            where it takes the weights of the experts, of shape `(tokens, experts)`, as its last
            argument, to their weighted sum, of shape `(tokens, units)`.
        takes_weights: Whether it does.
        stacked: Dict from the names of attributes of the layer to its weights, which all have an
            axis of experts in front; the first one is a kernel that tokens are multiplied by.

    Attributes:
        experts: Integer, the number of experts.
        features: Integer, the features of a token.
        expert_macs: Integer, the multiply-accumulates of one expert for one token.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        function: Callable[..., Any],
        takes_weights: bool,
        stacked: dict[str, keras.Variable],
    ) -> None:
        self._layer = layer
        self._function = function
        self._takes_weights = takes_weights
        self._stacked = stacked
        kernels = [weight for weight in self._stacked.values() if len(weight.shape) == 3]
        self.experts, self.features, _ = kernels[0].shape
        self.expert_macs = sum(kernel.shape[1] * kernel.shape[2] for kernel in kernels)

    def weights(self) -> list[Any]:
        """Give the stacked weights as tensors of the precision that the layer computes in."""
        dtype = self._layer.compute_dtype
        return [ops.cast(weight, dtype) for weight in self._stacked.values()]

    def all(self, tokens: Any, weights: Any, stacked: Sequence[Any]) -> Any:
        """Compute every expert for every token and add up what they give.

        Args:
            tokens: Tensor of shape `(tokens, features)`.
            weights: Tensor of shape `(tokens, experts)`.
            stacked: Sequence of the stacked weights, of any number of experts.

        Returns:
            Tensor of shape `(tokens, units)`.
        """
        experts = weights.shape[-1]
        numbers = {
            name: experts
            for name, value in vars(self._layer).items()
            if "experts" in name and value == self.experts
        }
        view = View(self._layer, {**numbers, **dict(zip(self._stacked, stacked, strict=True))})
        if self._takes_weights:
            return self._function(view, tokens, weights)
        outputs = self._function(view, tokens)
        return ops.sum(ops.multiply(outputs, ops.transpose(weights)[:, :, None]), axis=0)

    def one(self, tokens: Any, weights: Any, stacked: Sequence[Any]) -> Any:
        """Compute one expert.

        Args:
            tokens: Tensor of shape `(tokens, features)`.
            weights: Tensor of shape `(tokens, 1)`, the weight of the expert for each token.
            stacked: Sequence of the weights of the expert, with an axis of size 1 in front.

        Returns:
            Tensor of shape `(tokens, units)`.
        """

        def visit(operation: keras.Operation, node: Any, args: Any, kwargs: Any) -> Any:
            if node in self._plain:
                return [_product(*self._plain[node], *args)]
            return keras.tree.flatten(operation(*args, **kwargs))

        (outputs,) = graph.walk(self._record, [tokens, weights, *stacked], visit)
        return outputs

    @functools.cached_property
    def units(self) -> int:
        """Integer, the units of the outputs."""
        outputs: Any = self._record.outputs[0]
        return int(outputs.shape[-1])

    @functools.cached_property
    def _record(self) -> graph.Trace:
        """What `all` does for one expert."""
        tensors = [
            keras.KerasTensor(shape, dtype=self._layer.compute_dtype)
            for shape in (
                (ROWS, self.features),
                (ROWS, 1),
                *((1, *weight.shape[1:]) for weight in self._stacked.values()),
            )
        ]
        return record(
            self._layer, lambda rows, weights, *one: self.all(rows, weights, one), tensors
        )

    @functools.cached_property
    def _plain(self) -> dict[Any, tuple[str, str]]:
        """The products over an axis of experts that has one, and their equations without it."""
        found = {node: _without_experts(node) for node in self._record.nodes}
        return {node: equations for node, equations in found.items() if equations is not None}


def _without_experts(node: Any) -> tuple[str, str] | None:
    """Give the equation of a product of a single expert, and that without the axis of experts."""
    # Keras keeps the classes of its operations private, so look them up by name.
    if type(node.operation).__name__ != "Einsum":
        return None
    equation = node.operation.subscripts.replace(" ", "")
    terms = equation.split("->")[0].split(",")
    alone = {
        letter
        for term, tensor in zip(terms, node.input_tensors, strict=True)
        for letter, size in zip(term, tensor.shape, strict=True)
        if size == 1
    }
    if len(alone) != 1:
        return None
    return equation, equation.replace(alone.pop(), "")


def _product(equation: str, plain: str, *operands: Any) -> Any:
    """Compute a product whose terms have an axis of one expert without that axis.

    Compilers do not see that it is a product of two matrices, and PyTorch takes longer as well.
    """
    terms, outputs = equation.split("->")
    (expert,) = {*terms} - {*plain}
    squeezed = [
        ops.squeeze(operand, term.index(expert)) if expert in term else operand
        for term, operand in zip(terms.split(","), operands, strict=True)
    ]
    result = ops.einsum(plain, *squeezed)
    return ops.expand_dims(result, outputs.index(expert)) if expert in outputs else result
