"""A loop over the chosen experts: on PyTorch, where slices are views and loops are Python's."""

from typing import Any

from keras_dynamicgate.experts.bank import ExpertBank


def is_traced() -> bool:
    """Whether `torch.compile`, `torch.export` or `torch.jit.trace` is looking on."""
    import torch

    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def weighted_sum(bank: ExpertBank, tokens: Any, weights: Any, stacked: Any, top_k: int) -> Any:
    """Compute the chosen experts of each token and add up what they give.

    Args:
        bank: An `ExpertBank`.
        tokens: Tensor of shape `(tokens, features)`.
        weights: Tensor of shape `(tokens, experts)`, at most `top_k` of each row not 0.
        stacked: Sequence of the stacked weights of the bank.
        top_k: Integer.

    Returns:
        Tensor of shape `(tokens, units)`.
    """
    import torch

    weight, expert = torch.topk(weights, top_k)
    chosen, order = torch.sort(expert.reshape(-1))
    token = order // top_k
    numbers, counts = torch.unique_consecutive(chosen, return_counts=True)
    outputs = torch.zeros((len(tokens), bank.units), dtype=tokens.dtype)
    first = 0
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        rows = token[first : first + count]
        pairs = order[first : first + count]
        first += count
        part = [each[number : number + 1] for each in stacked]
        result = bank.one(tokens[rows], weight.reshape(-1, 1)[pairs], part)
        outputs = outputs.index_add(0, rows, result)
    return outputs


def gathered(bank: ExpertBank, tokens: Any, weights: Any, stacked: Any, top_k: int) -> Any:
    """Compute the experts of a single token with copies of their weights; all shapes are static.

    Args:
        bank: An `ExpertBank`.
        tokens: Tensor of shape `(1, features)`.
        weights: Tensor of shape `(1, experts)`, at most `top_k` of them not 0.
        stacked: Sequence of the stacked weights of the bank.
        top_k: Integer.

    Returns:
        Tensor of shape `(1, units)`.
    """
    import torch

    weight, expert = torch.topk(weights, top_k)
    return bank.all(tokens, weight, [each[expert[0]] for each in stacked])
