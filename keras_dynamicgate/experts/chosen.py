"""The weighted sum of the experts that each token has chosen, by backend."""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_dynamicgate.experts import eager_loop, tiles
from keras_dynamicgate.experts.bank import ExpertBank
from keras_dynamicgate.graph.state import is_training

# Rows of tiles that are computed cost more than rows of one large product.
WORK_LIMIT = 0.65
MOST_ROWS = 64


class ChosenExperts:
    """Computes those experts of a bank that tokens have chosen.

    Gradients are those of all experts.

    Args:
        bank: An `ExpertBank`.
        top_k: Integer, how many experts a token has at the most.

    Attributes:
        bank: The `ExpertBank`.
        top_k: The integer.
    """

    def __init__(self, bank: ExpertBank, top_k: int) -> None:
        self.bank = bank
        self.top_k = top_k

    def pays(self, tokens: Any) -> bool:
        """Tell whether to compute the chosen experts alone, and not all of them.

        All are computed in training, where the number of tokens is not known while the program is
        compiled, where little would be saved and on accelerators, for which it was not measured.

        Args:
            tokens: Tensor of shape `(tokens, features)`.
        """
        count = tokens.shape[0]
        if is_training() or isinstance(tokens, keras.KerasTensor) or not isinstance(count, int):
            return False
        rows = tile_rows(count * self.top_k, self.bank.experts)
        work = count * self.top_k + min(count * self.top_k, self.bank.experts) * (rows - 1) / 2
        if count == 0 or work > WORK_LIMIT * count * self.bank.experts:
            return False
        return _IS_PLACE[keras.backend.backend()](tokens)

    def __call__(self, tokens: Any, weights: Any) -> Any:
        """Compute the chosen experts of each token and add up what they give.

        Args:
            tokens: Tensor of shape `(tokens, features)` for which `pays` is true.
            weights: Tensor of shape `(tokens, experts)`, the weights of the experts, 0 for those
                that are not chosen.

        Returns:
            Tensor of shape `(tokens, units)`.
        """
        weights = ops.cast(weights, tokens.dtype)
        return self._run(tokens, weights, self.bank.weights())

    @functools.cached_property
    def _run(self) -> Callable[..., Any]:
        return _RUN[keras.backend.backend()](self.bank, self.top_k)


def tile_rows(pairs: int, experts: int) -> int:
    """Choose the rows of a tile: the smallest power of two from 1.5 times an equal share on.

    Args:
        pairs: Integer, the pairs of a token and an expert.
        experts: Integer, the number of experts.

    Returns:
        Integer of at most 64.
    """
    rows = 1
    while rows < MOST_ROWS and rows * experts < 1.5 * pairs:
        rows *= 2
    return rows


def _jax(bank: ExpertBank, top_k: int) -> Callable[..., Any]:
    import jax

    @jax.custom_vjp
    def compute(tokens: Any, weights: Any, stacked: Any) -> Any:
        rows = tile_rows(tokens.shape[0] * top_k, bank.experts)

        def loop(tokens: Any, weights: Any, stacked: Any) -> Any:
            return tiles.weighted_sum(bank, tokens, weights, stacked, top_k, rows)

        # The choice is made where the program is lowered, so a model that is moved to an
        # accelerator computes all experts there.
        return jax.lax.platform_dependent(tokens, weights, stacked, cpu=loop, default=bank.all)

    def forward(*args: Any) -> Any:
        return compute(*args), args

    def backward(args: Any, upstream: Any) -> Any:
        return jax.vjp(bank.all, *args)[1](upstream)

    compute.defvjp(forward, backward)
    # Without `jit`, eager calls would compile the loop anew each time.
    return jax.jit(compute)


def _tensorflow(bank: ExpertBank, top_k: int) -> Callable[..., Any]:
    import tensorflow as tf

    # XLA for this part alone: without it the loop copies the outputs in each step.
    @tf.function(jit_compile=True)
    def compute(tokens: Any, weights: Any, stacked: Any) -> Any:
        # XLA in TensorFlow has a slow product for a single row.
        rows = max(2, tile_rows(tokens.shape[0] * top_k, bank.experts))
        return tiles.weighted_sum(bank, tokens, weights, stacked, top_k, rows)

    @tf.custom_gradient
    def run(tokens: Any, weights: Any, *stacked: Any) -> Any:
        args = (tokens, weights, *stacked)
        # Stopped, or a tape would ask XLA for the gradient of the loop.
        first, second, *rest = map(tf.stop_gradient, args)

        def gradient(upstream: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(args)
                again = bank.all(tokens, weights, stacked)
            return tape.gradient(again, args, upstream)

        return compute(first, second, rest), gradient

    # As tensors: TensorFlow wants to hear of variables in a function with a gradient of its own.
    return lambda tokens, weights, stacked: run(
        tokens, weights, *map(tf.convert_to_tensor, stacked)
    )


def _torch(bank: ExpertBank, top_k: int) -> Callable[..., Any]:
    def run(tokens: Any, weights: Any, stacked: Any) -> Any:
        compute = eager_loop.gathered if eager_loop.is_traced() else eager_loop.weighted_sum
        return compute(bank, tokens, weights, stacked, top_k)

    return run


def _on_cpu_of_tensorflow(tokens: Any) -> bool:
    import tensorflow as tf

    return not tf.config.list_logical_devices("GPU")


def _on_cpu_of_torch(tokens: Any) -> bool:
    # While traced, which experts are chosen is not known, and copies pay for one token only.
    return tokens.device.type == "cpu" and (len(tokens) == 1 or not eager_loop.is_traced())


_RUN = {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}
_IS_PLACE = {
    "jax": lambda tokens: True,
    "tensorflow": _on_cpu_of_tensorflow,
    "torch": _on_cpu_of_torch,
}
