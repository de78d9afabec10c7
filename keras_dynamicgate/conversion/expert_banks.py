"""The banks of experts in a model, found by what they are."""

import functools
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate import graph
from keras_dynamicgate.experts.bank import ExpertBank
from keras_dynamicgate.experts.chosen import ChosenExperts
from keras_dynamicgate.graph.unfold import unfold
from keras_dynamicgate.graph.weighted_sum import with_weighted_sum

TOKENS = 3
# What rounding changes, in float32 and in what is less precise.
TOLERANCE = {"float32": 1e-4, "float64": 1e-4}
ROUGH_TOLERANCE = 5e-2


class BankInModel:
    """A layer with stacked experts in a model, and how it is called there.

    Args:
        layer: The layer.
        holder: The layer that holds it.
        name: The name of the attribute of the holder.

    Attributes:
        layer: The layer with the experts.
        chosen: What computes those that are chosen.

    Raises:
        ValueError: If the layer or its holder does not do what a bank of experts does.
    """

    def __init__(self, layer: keras.layers.Layer, holder: keras.layers.Layer, name: str) -> None:
        self.layer = layer
        self._holder = holder
        self._name = name
        try:
            parameters = inspect.signature(type(layer).call).parameters.values()
            needed = [each for each in parameters if each.default is each.empty]
            self._takes_weights = len(needed) == 3  # `self` and the tokens besides
            bank = ExpertBank(layer, type(layer).call, self._takes_weights, _stacked_weights(layer))
            _check_experts(layer, bank)
            router = self._routers() if self._takes_weights else [holder]
            self.chosen = ChosenExperts(bank, _top_k(router, bank))
            if not self._takes_weights:
                self._check_holder()
        except Exception as error:
            # Layers of any kind may fail in any way.
            raise ValueError(
                f"Layer {layer.path!r} ({type(layer).__name__}) holds stacked experts but is of a "
                f"form that is not known: {error}. Nothing was changed. Received: a layer with "
                f"weights {[tuple(weight.shape) for weight in layer.weights]}"
            ) from error

    def calls(self) -> tuple[keras.layers.Layer, Callable[..., Any]]:
        """Give the layer whose `call` changes, and what it becomes."""
        if self._takes_weights:
            dense = functools.partial(type(self.layer).call, self.layer)

            def of_bank(tokens: Any, weights: Any) -> Any:
                return (self.chosen if self.chosen.pays(tokens) else dense)(tokens, weights)

            return self.layer, of_bank

        def of_holder(*args: Any, **kwargs: Any) -> Any:
            if any(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(args)):
                return type(self._holder).call(self._holder, *args, **kwargs)
            return with_weighted_sum(
                self._holder, self._name, args, kwargs, self._outputs, self._sum
            )

        return self._holder, of_holder

    def _outputs(self, tokens: Any) -> keras.KerasTensor | None:
        if not self.chosen.pays(tokens):
            return None
        bank = self.chosen.bank
        shape = (bank.experts, tokens.shape[0], bank.units)
        return keras.KerasTensor(shape, dtype=self.layer.compute_dtype)

    def _sum(self, tokens: Any, weights: Any) -> Any:
        return self.chosen(tokens, ops.transpose(weights))

    def _routers(self) -> list[keras.layers.Layer]:
        inside = graph.all_layers(self._holder, recursive=False)
        return [each for each in inside if each is not self.layer]

    def _check_holder(self) -> None:
        bank = self.chosen.bank
        inputs = ops.cast(_random(1, TOKENS, bank.features), self.layer.compute_dtype)

        def symbolic(tokens: Any) -> keras.KerasTensor:
            return keras.KerasTensor((bank.experts, TOKENS, bank.units), dtype=tokens.dtype)

        def dense(tokens: Any, weights: Any) -> Any:
            return bank.all(tokens, ops.transpose(weights), bank.weights())

        got = with_weighted_sum(self._holder, self._name, (inputs,), {}, symbolic, dense)
        _check_equal(
            self.layer, got, self._holder(inputs), "its outputs are not those of its experts"
        )


def expert_banks(model: keras.Model) -> list[BankInModel]:
    """List the banks of experts in a model.

    Args:
        model: A built model.

    Raises:
        ValueError: If a layer holds stacked experts but is of an unknown form.
    """
    return [BankInModel(layer, *holder) for layer, holder in _stacked(model)]


def _stacked(model: keras.Model) -> Iterator[tuple[keras.layers.Layer, Any]]:
    """Find the layers that hold stacked experts, each with its holder and its name there."""
    for holder in graph.all_layers(model, include_self=True):
        inner = graph.all_layers(holder, recursive=False)
        for layer in filter(_is_stacked, inner):
            # PyTorch keeps layers out of the `__dict__`.
            attributes = {**vars(holder), **vars(holder).get("_modules", {})}
            names = [name for name, value in attributes.items() if value is layer]
            if names and _has_router(holder, layer):
                yield layer, (holder, names[0])


def _is_stacked(layer: keras.layers.Layer) -> bool:
    """Tell whether a layer has kernels of several experts: into hidden units and back."""
    if type(layer).__module__.startswith("keras."):
        return False
    weights = list(_stacked_weights(layer).values())
    kernels = [tuple(weight.shape) for weight in weights if len(weight.shape) == 3]
    experts = {weight.shape[0] for weight in weights if len(weight.shape)}
    if len(kernels) < 2 or len(experts) != 1 or min(experts) < 2:
        return False
    return any(one[1] == other[2] for one in kernels for other in kernels if one is not other)


def _stacked_weights(layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    """Give the weights that are attributes of a layer, by the names of the attributes."""
    return {name: value for name, value in vars(layer).items() if isinstance(value, keras.Variable)}


def _has_router(holder: keras.layers.Layer, bank: keras.layers.Layer) -> bool:
    """Tell whether a layer beside a bank gives a number for each of its experts."""
    experts = next(iter(_stacked_weights(bank).values())).shape[0]
    beside = [each for each in graph.all_layers(holder) if each is not bank]
    return any(weight.shape[-1:] == (experts,) for each in beside for weight in each.weights)


def _top_k(routers: list[keras.layers.Layer], bank: ExpertBank) -> int:
    """Give how many experts a token has, by what the layers that choose do."""
    tokens = keras.KerasTensor((1, TOKENS, bank.features))
    found = {each for layer in routers for each in _choices(layer, (tokens,), {}, bank.experts)}
    if len(found) != 1:
        raise ValueError(f"it is not one number of experts that a token gets but {found}")
    return found.pop()


def _choices(layer: keras.layers.Layer, args: Any, kwargs: Any, experts: int) -> set[int]:
    """List the numbers of experts that a layer chooses of all, itself or by layers inside it."""
    found: set[int] = set()
    trace = unfold(layer, args, kwargs)
    for node in [] if trace is None else trace.nodes:
        operation = node.operation
        # Keras keeps the classes of its operations private, so look them up by name.
        if type(operation).__name__ == "TopK" and node.input_tensors[0].shape[-1] == experts:
            found.add(int(operation.k))
        elif isinstance(operation, keras.layers.Layer):
            found |= _choices(operation, node.arguments.args, node.arguments.kwargs, experts)
    return found


def _check_experts(layer: keras.layers.Layer, bank: ExpertBank) -> None:
    """Check on random weights that each expert works by itself."""
    shapes = [(TOKENS, bank.features), (TOKENS, 2)]
    shapes += [(2, *weight.shape[1:]) for weight in bank.weights()]
    tokens, weights, *stacked = [ops.cast(_random(*shape), layer.compute_dtype) for shape in shapes]
    alone = [
        bank.one(tokens, weights[:, one : one + 1], [each[one : one + 1] for each in stacked])
        for one in range(2)
    ]
    every = bank.all(tokens, weights, stacked)
    _check_equal(layer, sum(alone), every, "its experts are not independent")


def _random(*shape: int) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=shape) / math.sqrt(math.prod(shape[1:-1]))
    return values.astype("float32")


def _check_equal(layer: keras.layers.Layer, got: Any, wanted: Any, message: str) -> None:
    tolerance = TOLERANCE.get(layer.compute_dtype, ROUGH_TOLERANCE)
    for one, other in zip(keras.tree.flatten(got), keras.tree.flatten(wanted), strict=True):
        first, second = (ops.convert_to_numpy(ops.cast(each, "float32")) for each in (one, other))
        if not np.allclose(first, second, tolerance, tolerance, equal_nan=True):
            raise ValueError(message)
