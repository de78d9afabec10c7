"""Plans whose gates leave open what is asked, to measure what that takes."""

import numpy as np

from keras_dynamicgate.engine.numpy_kernels import RUN, Batch
from keras_dynamicgate.engine.steps import Decide, Plan, Product


def force_shares(
    plan: Plan, shares: dict[str, float], x: np.ndarray, random: np.random.Generator
) -> dict[str, float]:
    """Have the gates of a plan leave given shares open, others for each input.

    Gate networks get random weights, under which gates differ from each other as much as one gate
    does from input to input, and thresholds such that the share is open on `x`. Gates with `top_k`
    stay as they are.

    Args:
        plan: A plan, which is changed.
        shares: Dict from the name of a layer to the share of its gates.
        x: Array of inputs, of shape `(samples, ...)`.
        random: The generator of the weights.

    Returns:
        Dict from the name of each layer with input-dependent gates to the share that is open.
    """
    rows = x.reshape(-1, plan.steps[0].features).astype("float32")
    batch = Batch(
        plan, rows, np.zeros((len(x), 1), "float32"), np.zeros(len(plan.prices), "float32")
    )
    opened = {}
    with np.errstate(all="ignore"):  # closed blocks hold anything
        for step in plan.steps[:-1]:
            if isinstance(step, Product) and not step.name:
                _randomize(step, random)
            if isinstance(step, Decide) and not step.top_k:
                _set_threshold(step, batch, shares.get(step.layer, 1.0))
            RUN[type(step)](batch, step)
            if isinstance(step, Decide):
                opened[step.layer] = float(batch.masks[step.mask.index].mean())
    plan.prices = [0.0] * len(plan.prices)
    return opened


def _randomize(step: Product, random: np.random.Generator) -> None:
    """Give a product of a gate network random weights."""
    spread = 1.0 / np.sqrt(len(step.kernel))
    step.kernel = (spread * random.normal(size=step.kernel.shape)).astype("float32")
    step.bias = random.normal(size=step.bias.shape).astype("float32")


def _set_threshold(step: Decide, batch: Batch, share: float) -> None:
    """Set the threshold of a decision so that a share of all logits of a batch is above it."""
    logits = batch.buffers[step.source][:, : step.mask.gates]
    step.temperature = max(float(logits.std()), 1e-6)
    lowest = float(logits.min()) - step.temperature
    cut = float(np.quantile(logits, 1.0 - share)) if share < 1.0 else lowest
    step.logit_threshold = cut / step.temperature
