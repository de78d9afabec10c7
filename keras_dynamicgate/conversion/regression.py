"""Gate networks that predict from a layer's input which of its blocks matter."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dynamicgate.gating.gate_network import BIAS_SCALE, AffineMap

# As a share of the mean eigenvalue: so little that it hardly biases well-determined directions.
RIDGE = 0.1

# Of the way from where gates start to where they close, the part that no gate enters at first.
MARGIN = 0.25


def open_all(gate: Any) -> None:
    """Open all gates whatever the input, no two of them quite alike.

    Gates that all start from the same logit close all at once when a budget presses on them.
    """
    chain = gate.network.affine_maps()
    if not chain:
        return
    kernel = chain[-1].kernel
    kernel.assign(np.zeros(kernel.shape, "float32"))
    # A generator of its own, so that the draws of the caller's code stay what they were.
    generator = keras.random.SeedGenerator()
    spread = ops.convert_to_numpy(keras.random.uniform((gate.gates,), -1.0, 1.0, seed=generator))
    _set_bias(gate, _initial_logit(gate) + (1.0 - MARGIN) * _room(gate) * spread)


def rank_blocks(gate: Any, inputs: Any, norms: np.ndarray) -> None:
    """Start a gate so that all blocks are open and those that matter least will close first.

    The logits become a linear prediction of the norms of the blocks, as far as the gate network
    can express one; a static gate follows the mean norms.

    Args:
        gate: A built `Gate` on a gate network of this package.
        inputs: Float array of shape `(rows, features)`, what the gate network sees.
        norms: Float array of shape `(rows, gates)`, how far each block is from 0.
    """
    # One scale for all blocks: a block that is always small is to close before one that is not.
    importance = (norms - norms.mean()) / (norms.std() or 1.0)
    mean = importance.mean(axis=0)
    if not gate.input_dependent:
        _set_bias(gate, _initial_logit(gate) + _scale(gate, mean) * mean)
        return
    chain = gate.network.affine_maps()
    if not chain or not _is_predictor(chain):
        return
    centre = inputs.mean(axis=0)
    inputs = inputs - centre
    kernel = _ridge(inputs, importance - mean)
    down, up = _factors(kernel, inputs, _rank(chain))
    scores = mean + inputs @ down @ up
    scale = _scale(gate, scores)
    _set_kernels(chain, down, scale * up)
    _set_bias(gate, _initial_logit(gate) + scale * (mean - centre @ down @ up))


def _initial_logit(gate: Any) -> float:
    return _logit(gate, gate.initial_open)


def _logit(gate: Any, probability: float) -> float:
    return gate.initial_temperature * math.log(probability / (1.0 - probability))


def _room(gate: Any) -> float:
    """Give how far the logits may fall before a gate closes."""
    return _initial_logit(gate) - _logit(gate, gate.initial_threshold)


def _scale(gate: Any, scores: np.ndarray) -> float:
    """Give the factor with which the lowest score still leaves its gate open."""
    # Scores that hardly differ say little, and are not blown up.
    return (1.0 - MARGIN) * _room(gate) / max(-scores.min(), 1.0)


def _ridge(inputs: Any, targets: np.ndarray) -> np.ndarray:
    """Solve least squares with a penalty on the kernel, in whichever form is the smaller one."""
    rows, features = inputs.shape
    penalty = RIDGE * np.square(inputs).sum() / min(rows, features) + 1e-12
    if rows < features:
        gram = inputs @ inputs.T
        return inputs.T @ np.linalg.solve(gram + penalty * np.eye(rows), targets)
    gram = inputs.T @ inputs
    return np.linalg.solve(gram + penalty * np.eye(features), inputs.T @ targets)


def _is_predictor(chain: Sequence[AffineMap]) -> bool:
    """Tell whether a gate network can be given any linear map of some rank."""
    return len(chain) == 1 or (len(chain) == 2 and chain[0].activation in ("linear", "relu"))


def _rank(chain: Sequence[AffineMap]) -> int:
    width = chain[0].kernel.shape[1]
    return width // 2 if chain[0].activation == "relu" else width


def _factors(kernel: np.ndarray, inputs: Any, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Split a kernel into two of a rank that keep as much as they can of what it predicts."""
    _, _, directions = np.linalg.svd(inputs @ kernel, full_matrices=False)
    up = directions[:rank]
    down = kernel @ up.T
    # Both equally large, so that they learn equally fast.
    norms = np.sqrt(np.linalg.norm(down, axis=0)) + 1e-12
    return down / norms, up * norms[:, None]


def _set_kernels(chain: Sequence[AffineMap], down: np.ndarray, up: np.ndarray) -> None:
    """Write two factors into the kernels of a gate network."""
    if len(chain) == 1:
        chain[0].kernel.assign(down @ up)
        return
    if chain[0].activation == "relu":
        # relu(u) - relu(-u) = u
        down, up = np.concatenate([down, -down], axis=1), np.concatenate([up, -up])
    for affine, values in zip(chain, (down, up), strict=True):
        _fill(affine.kernel, values)


def _fill(weight: keras.Variable, values: Any) -> None:
    """Write values into the first rows and columns of a weight, and zeros into the others."""
    padding = [(0, size - filled) for size, filled in zip(weight.shape, values.shape, strict=True)]
    weight.assign(np.pad(values, padding).astype("float32"))


def _set_bias(gate: Any, bias: Any) -> None:
    gate.network.scaled_bias.assign((bias / BIAS_SCALE).astype("float32"))
