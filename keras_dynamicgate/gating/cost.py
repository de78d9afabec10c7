"""What matrix products cost when some of their inputs and outputs are closed.

A `Product` counts its multiply-accumulates with everything open; two `Open` descriptions say which
of its inputs and outputs are. They name gates and hold no numbers: the same description is
evaluated with masks (executed), with probabilities (expected) and with averages (a budget).
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

Masks = Mapping[Any, np.ndarray]


def positions(shape):
    """Count the positions of a tensor of `shape` (without batch axis): all axes but the last."""
    return math.prod(shape[:-1])


class Open:
    """Which features (last axis) of a tensor are open."""

    @property
    def per_position(self) -> bool:
        """Whether the positions of one sample can differ."""
        raise NotImplementedError

    def features(self, masks: Masks) -> np.ndarray:
        """Give the openness of each feature, of shape `(samples or 1, ..., features)`."""
        raise NotImplementedError

    def share(self, usage: Mapping[Any, Any]):
        """Give the open share when all that is known is a scalar for each gate.

        Different gates count as independent. Works on tensors of any backend, too.
        """
        raise NotImplementedError

    def fraction(self, masks: Masks) -> np.ndarray:
        """Give the open share of the features, of shape `(samples or 1, ...)`."""
        return self.features(masks).mean(axis=-1)


@dataclasses.dataclass(frozen=True)
class GateOpen(Open):
    """Features in blocks that share one gate of the layer `gate`."""

    gate: Any
    block_size: int
    differs_by_position: bool = False

    @property
    def per_position(self):
        return self.differs_by_position

    def features(self, masks):
        return np.repeat(masks[self.gate], self.block_size, axis=-1)

    def share(self, usage):
        return usage[self.gate]

    def fraction(self, masks):
        return masks[self.gate].mean(axis=-1)


@dataclasses.dataclass(frozen=True)
class BothOpen(Open):
    """Features that are open where two descriptions say so: a gate on gated units, a product."""

    one: Open
    other: Open

    @property
    def per_position(self):
        return self.one.per_position or self.other.per_position

    def features(self, masks):
        return self.one.features(masks) * self.other.features(masks)

    def share(self, usage):
        return self.one.share(usage) * self.other.share(usage)


@dataclasses.dataclass(frozen=True)
class EitherOpen(Open):
    """Features that are open where at least one of two descriptions says so: a sum."""

    one: Open
    other: Open

    @property
    def per_position(self):
        return self.one.per_position or self.other.per_position

    def features(self, masks):
        one, other = self.one.features(masks), self.other.features(masks)
        return one + other - one * other

    def share(self, usage):
        one, other = self.one.share(usage), self.other.share(usage)
        return one + other - one * other


@dataclasses.dataclass(frozen=True)
class JoinedOpen(Open):
    """Features side by side: pairs of a description (`None`: all open) and a width."""

    parts: tuple[tuple[Open | None, int], ...]

    @property
    def per_position(self):
        return any(part is not None and part.per_position for part, _ in self.parts)

    def features(self, masks):
        pieces = [
            np.ones((1, width), "float32") if part is None else part.features(masks)
            for part, width in self.parts
        ]
        rank = max(piece.ndim for piece in pieces)
        pieces = [_with_rank(piece, rank) for piece in pieces]
        lead = np.broadcast_shapes(*(piece.shape[:-1] for piece in pieces))
        return np.concatenate(
            [np.broadcast_to(piece, (*lead, piece.shape[-1])) for piece in pieces], axis=-1
        )

    def share(self, usage):
        total = sum(width for _, width in self.parts)
        return sum(
            (1.0 if part is None else part.share(usage)) * (width / total)
            for part, width in self.parts
        )


@dataclasses.dataclass(frozen=True)
class ReshapedOpen(Open):
    """Features of a tensor that was reshaped from one shape (without batch axis) to another."""

    source: Open
    old_shape: tuple[int, ...]
    new_shape: tuple[int, ...]

    @property
    def per_position(self):
        return len(self.new_shape) > 1

    def features(self, masks):
        features = _with_rank(self.source.features(masks), len(self.old_shape) + 1)
        samples = len(features)
        features = np.broadcast_to(features, (samples, *self.old_shape))
        return features.reshape(samples, *self.new_shape)

    def share(self, usage):
        return self.source.share(usage)


@dataclasses.dataclass(frozen=True)
class PooledOpen(Open):
    """Channels after all their positions have become one, where the positions are alike."""

    source: Open

    @property
    def per_position(self):
        return False

    def features(self, masks):
        features = self.source.features(masks)
        return features.reshape(len(features), -1)

    def share(self, usage):
        return self.source.share(usage)


@dataclasses.dataclass(frozen=True)
class ShareOpen(Open):
    """A share of the features that is always the same: `top_k` of so many experts."""

    open_share: float

    @property
    def per_position(self):
        return False

    def features(self, masks):
        return np.full((1, 1), self.open_share)

    def share(self, usage):
        return self.open_share


def _with_rank(features, rank):
    """Insert axes of size 1 after the samples, for positions that all are alike."""
    missing = rank - features.ndim
    return features.reshape(*features.shape[:1], *([1] * missing), *features.shape[1:])


def both(one: Open | None, other: Open | None) -> Open | None:
    """Join two descriptions, `None` meaning all open, into what both leave open."""
    if one is None or one == other:
        return other
    return one if other is None else BothOpen(one, other)


def either(one: Open | None, other: Open | None) -> Open | None:
    """Join two descriptions, `None` meaning all open, into what either leaves open."""
    if one is None or other is None:
        return None
    return one if one == other else EitherOpen(one, other)


@dataclasses.dataclass
class Product:
    """A matrix product or convolution of one sample.

    Attributes:
        macs: Integer, multiply-accumulates per sample with everything open.
        inputs: Which input features are open, `None` if all are.
        outputs: Which output features are computed, `None` if all are.
        of_gate: Whether it belongs to a gate network.
        kept: Array of zeros and ones of shape `(inputs, outputs)`, the weights of the kernel that
            are kept where single ones have been removed, `None` if all are.
    """

    macs: int
    inputs: Open | None = None
    outputs: Open | None = None
    of_gate: bool = False
    kept: np.ndarray | None = None

    @property
    def theoretical(self) -> bool:
        """Whether single weights count as saved, which takes special kernels to save time."""
        return self.kept is not None and not np.all(self.kept)

    def executed(self, masks: Masks) -> float:
        """Average the multiply-accumulates over the samples of `masks`."""
        return self.macs * float(np.mean(self._fraction(masks), dtype="float64"))

    def executed_per_sample(self, masks: Masks) -> np.ndarray:
        """Give the multiply-accumulates of each sample, of shape `(samples or 1,)`."""
        fraction = self._fraction(masks)
        return self.macs * fraction.reshape(len(fraction), -1).mean(axis=1, dtype="float64")

    def _fraction(self, masks):
        """Give the share that is executed, of shape `(samples or 1, ...)`."""
        if self.kept is not None:
            return _kept_fraction(self.kept, self.inputs, self.outputs, masks)
        fraction: Any = np.ones((1,), "float32")
        for part in (self.inputs, self.outputs):
            if part is not None:
                fraction = _align(fraction, part.fraction(masks))
        return fraction

    def executed_on_average(self, usage: Mapping[Any, Any]):
        """Give the multiply-accumulates for a scalar for each gate, of any backend."""
        macs: Any = self.macs if self.kept is None else self.macs * float(np.mean(self.kept))
        for part in (self.inputs, self.outputs):
            if part is not None:
                macs = part.share(usage) * macs
        return macs


def _kept_fraction(kept, inputs, outputs, masks):
    """Give the share of a kernel whose weight is kept and whose input and output are open."""
    rows, columns = (
        np.ones((1, size), "float32") if part is None else part.features(masks)
        for part, size in zip((inputs, outputs), kept.shape, strict=True)
    )
    through = rows @ kept.astype("float32")
    rank = max(through.ndim, columns.ndim)
    through, columns = _with_rank(through, rank), _with_rank(columns, rank)
    return np.sum(through * columns, axis=-1, dtype="float64") / kept.size


def _align(one, other):
    """Multiply shares by sample with shares by sample and position."""
    rank = max(one.ndim, other.ndim)
    one, other = (share.reshape(share.shape + (1,) * (rank - share.ndim)) for share in (one, other))
    return one * other


@dataclasses.dataclass
class Flow:
    """What a tensor of one sample carries from layer to layer while costs are counted.

    Attributes:
        shape: Tuple of integers, the shape without the batch axis.
        open: Which features are open, `None` if all are. A closed feature is exactly 0.
        producers: The products whose output features are those of this tensor and of no other, so
            that what a static gate closes here need not be computed there.
    """

    shape: tuple[int, ...]
    open: Open | None = None
    producers: tuple[Product, ...] = ()


def per_channel(flow: Flow) -> Open | None:
    """Give what is open if it is the same at all positions, else `None`: all of it."""
    return None if flow.open is None or flow.open.per_position else flow.open
