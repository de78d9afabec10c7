"""Which experts a token goes to, and what keeps the experts equally busy."""

from typing import Any

from keras import ops


def choose_experts(logits: Any, top_k: int) -> tuple[Any, Any]:
    """Choose the `top_k` experts with the largest logits; the lower index wins a tie.

    Args:
        logits: Float tensor of shape `(tokens, experts)`.
        top_k: Integer, the number of experts of each token.

    Returns:
        The choices, zeros and ones of shape `(tokens, top_k, experts)`, and their weights, of shape
        `(tokens, top_k)`. The weight of a single expert is its router probability; the weights of
        several add up to 1.
    """
    # argsort is stable on every backend, top_k is not.
    order = ops.argsort(ops.negative(logits), axis=-1)
    chosen = ops.one_hot(order[:, :top_k], logits.shape[-1], dtype=logits.dtype)
    # A product instead of `take_along_axis`, which PyTorch exports for one batch size only.
    probability = ops.expand_dims(ops.softmax(logits, axis=-1), 1)
    weights = ops.sum(ops.multiply(chosen, probability), axis=-1)
    if top_k > 1:
        weights = ops.divide(weights, ops.sum(weights, axis=-1, keepdims=True))
    return chosen, weights


def mean_over_tokens(values: Any, counted: Any) -> Any:
    """Average over the tokens that count, 0 if none does.

    Args:
        values: Tensor of shape `(tokens, ...)`.
        counted: Tensor of shape `(tokens,)`, 1 for the tokens that count and 0 for padding.

    Returns:
        Tensor of the shape of `values` without its first axis.
    """
    weights = ops.reshape(counted, (-1, *[1] * (len(values.shape) - 1)))
    total = ops.sum(ops.multiply(values, weights), axis=0)
    return ops.divide(total, ops.maximum(ops.sum(counted), 1.0))


def within_capacity(chosen: Any, counted: Any, capacity_factor: float) -> Any:
    """Mark the choices that their experts have room for: first choices first, then by token.

    Args:
        chosen: Tensor of zeros and ones of shape `(tokens, top_k, experts)`.
        counted: Tensor of shape `(tokens,)`, 1 for tokens and 0 for padding, which takes no room.
        capacity_factor: Float, the room of an expert as a multiple of an equal share of the
            choices; the room is rounded up.

    Returns:
        Tensor of zeros and ones of shape `(tokens, top_k)`.
    """
    top_k, experts = chosen.shape[1:]
    chosen = ops.multiply(chosen, ops.reshape(counted, (-1, 1, 1)))
    # Counted in integers, which stay exact for any number of tokens.
    queue = ops.cast(ops.reshape(ops.swapaxes(chosen, 0, 1), (-1, experts)), "int32")
    place = ops.sum(ops.multiply(ops.cumsum(queue, axis=0), queue), axis=-1)
    # In floating point 25 * .6 is a little more than 15.
    room = (1.0 - 1e-6) * capacity_factor / experts
    capacity = ops.ceil(ops.multiply(ops.cast(ops.sum(queue), "float32"), room))
    kept = ops.less_equal(ops.cast(place, "float32"), capacity)
    return ops.transpose(ops.cast(ops.reshape(kept, (top_k, -1)), chosen.dtype))


def balance_loss(logits: Any, chosen: Any, counted: Any) -> Any:
    """Return the load-balancing loss: 1 if the experts are equally busy, more if some are favoured.

    Args:
        logits: Float tensor of shape `(tokens, experts)`.
        chosen: Tensor of zeros and ones of shape `(tokens, top_k, experts)`.
        counted: Tensor of shape `(tokens,)`, 1 for the tokens that count and 0 for padding.

    Returns:
        Scalar: the experts' share of the assignments times their mean probability, added up and
        multiplied by the number of experts.

    Reference:

    - Fedus, Zoph and Shazeer, 2021 (arXiv 2101.03961), Switch Transformers
    """
    assigned = ops.mean(mean_over_tokens(chosen, counted), axis=0)
    probability = mean_over_tokens(ops.softmax(logits, axis=-1), counted)
    return ops.multiply(chosen.shape[-1], ops.sum(ops.multiply(assigned, probability)))


def z_loss(logits: Any, counted: Any) -> Any:
    """Return the router z-loss, which keeps logits small: the mean of `logsumexp(logits) ** 2`.

    Args:
        logits: Float tensor of shape `(tokens, experts)`.
        counted: Tensor of shape `(tokens,)`, 1 for the tokens that count and 0 for padding.

    Returns:
        Scalar.

    Reference:

    - Zoph et al., 2022 (arXiv 2202.08906), ST-MoE
    """
    return mean_over_tokens(ops.square(ops.logsumexp(logits, axis=-1)), counted)
