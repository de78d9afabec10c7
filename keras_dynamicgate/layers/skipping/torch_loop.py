"""Skipping execution on PyTorch: a loop over open blocks when eager, gathered kernels when traced.

PyTorch runs eagerly by default, and there the loop is Python's and slices are views: no kernel is
copied. `torch.compile` and `torch.export` need to know every shape before they see a mask; `gather`
is for them.
"""

from typing import Any

# With every gate open the loop took 0.9 to 1.3 times as long as masked execution.
WORK_LIMIT = 0.75


def is_traced() -> bool:
    """Whether `torch.compile`, `torch.export` or `torch.jit.trace` is looking on."""
    import torch

    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def skip(x: Any, mask: Any, weights: Any, *, activation: Any, block_size: int) -> Any:
    """Compute the open blocks only, each for the positions that have it open.

    Args:
        x: Tensor of shape `(positions, features)`.
        mask: Tensor of shape `(positions or 1, gates)`.
        weights: The `Weights` of the feed-forward block.
        activation: Function that maps each number by itself.
        block_size: Integer, the hidden units that share a gate.

    Returns:
        Tensor of shape `(positions, units)`, or `None` if so much is open that masked execution
        is quicker.
    """
    import torch

    counts = mask.sum(dim=0).tolist()
    if sum(counts) > WORK_LIMIT * mask.numel():
        return None
    order = None
    outputs = _first_outputs(x, weights)
    for block, count in enumerate(counts):
        if count == 0:
            continue
        units = slice(block * block_size, (block + 1) * block_size)
        part = _block(weights, units)
        if count == len(mask):
            outputs = torch.addmm(outputs, _hidden_units(x, part, activation), part.output_kernel)
            continue
        if order is None:
            order = torch.argsort(mask, dim=0, descending=True)
        rows = order[: int(count), block]
        hidden = _hidden_units(x[rows], part, activation)
        outputs = outputs.index_add(0, rows, hidden @ part.output_kernel)
    return outputs


def gather(
    x: Any, mask: Any, weights: Any, *, activation: Any, block_size: int, open_blocks: Any
) -> Any:
    """Compute with the kernels of the open blocks, copied side by side; all shapes are static.

    Args:
        x: Tensor of shape `(positions, features)`.
        mask: Tensor of shape `(1, gates)`.
        weights: The `Weights` of the feed-forward block.
        activation: Function that maps each number by itself.
        block_size: Integer, the hidden units that share a gate.
        open_blocks: Integer, how many gates are open.

    Returns:
        Tensor of shape `(positions, units)`.
    """
    import torch

    blocks = torch.topk(mask[0], open_blocks).indices
    units = (blocks[:, None] * block_size + torch.arange(block_size)).reshape(-1)
    part = _block(weights, units)
    hidden = _hidden_units(x, part, activation)
    return torch.addmm(_first_outputs(x, weights), hidden, part.output_kernel)


def _first_outputs(x: Any, weights: Any) -> Any:
    """The bias for each position, and a NaN where the input has one, as masked execution gives."""
    poison = (x * 0.0).sum(dim=-1, keepdim=True)
    if weights.output_bias is None:
        return poison.expand(-1, weights.output_kernel.shape[1])
    return poison + weights.output_bias


def _block(weights: Any, units: Any) -> Any:
    def columns(kernel: Any) -> Any:
        return None if kernel is None else kernel[:, units]

    def entries(bias: Any) -> Any:
        return None if bias is None else bias[units]

    return weights._replace(
        hidden_kernel=columns(weights.hidden_kernel),
        hidden_bias=entries(weights.hidden_bias),
        linear_kernel=columns(weights.linear_kernel),
        linear_bias=entries(weights.linear_bias),
        output_kernel=weights.output_kernel[units],
    )


def _hidden_units(x: Any, weights: Any, activation: Any) -> Any:
    hidden = activation(_product(x, weights.hidden_kernel, weights.hidden_bias))
    if weights.linear_kernel is None:
        return hidden
    return hidden * _product(x, weights.linear_kernel, weights.linear_bias)


def _product(x: Any, kernel: Any, bias: Any) -> Any:
    import torch

    return x @ kernel if bias is None else torch.addmm(bias, x, kernel)
