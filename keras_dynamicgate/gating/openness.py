"""Which features of a tensor are open, and what the gates have to do with it.

The descriptions name gates and hold no numbers: the same one is evaluated with masks (executed),
with probabilities (expected) and, inside a training step, with the averages of the gates (a
budget).
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from keras import ops

Masks = Mapping[Any, Any]
Averages = Mapping[Any, Any]


class Open:
    """Which features (last axis) of a tensor are open."""

    @property
    def per_position(self) -> bool:
        """Whether the positions of one sample can differ."""
        raise NotImplementedError

    @property
    def fixed(self) -> "Open | None":
        """What is left of this description, `None` if nothing, without input-dependent gates."""
        raise NotImplementedError

    def features(self, masks: Masks, xp: Any = np) -> Any:
        """Give the openness of each feature, of shape `(samples or 1, ..., features)`.

        Args:
            masks: Dict from gate to masks of shape `(samples or 1, ..., gates)`.
            xp: Module of array functions: `numpy`, or `keras.ops` for tensors.
        """
        raise NotImplementedError

    def share(self, averages: Averages) -> Any:
        """Give the open share, of shape `(...)`, for an average openness of shape `(..., gates)`.

        Different gates count as independent of each other.
        """
        raise NotImplementedError

    def fraction(self, masks: Masks) -> Any:
        """Give the open share of the features, of shape `(samples or 1, ...)`."""
        return self.features(masks).mean(axis=-1)


@dataclasses.dataclass(frozen=True)
class GateOpen(Open):
    """Features in blocks that share one gate of `gate`."""

    gate: Any
    block_size: int
    input_dependent: bool = True
    differs_by_position: bool = False

    @property
    def per_position(self) -> bool:
        return self.differs_by_position

    @property
    def fixed(self) -> Open | None:
        return None if self.input_dependent else self

    def features(self, masks: Masks, xp: Any = np) -> Any:
        return xp.repeat(masks[self.gate], self.block_size, axis=-1)

    def share(self, averages: Averages) -> Any:
        return ops.mean(averages[self.gate], axis=-1)

    def fraction(self, masks: Masks) -> Any:
        return masks[self.gate].mean(axis=-1)


@dataclasses.dataclass(frozen=True)
class BothOpen(Open):
    """Features that are open where two descriptions say so: a gate on gated units, a product."""

    one: Open
    other: Open

    @property
    def per_position(self) -> bool:
        return self.one.per_position or self.other.per_position

    @property
    def fixed(self) -> Open | None:
        return both(self.one.fixed, self.other.fixed)

    def features(self, masks: Masks, xp: Any = np) -> Any:
        return self.one.features(masks, xp) * self.other.features(masks, xp)

    def share(self, averages: Averages) -> Any:
        return self.one.share(averages) * self.other.share(averages)


@dataclasses.dataclass(frozen=True)
class EitherOpen(Open):
    """Features that are open where at least one of two descriptions says so: a sum."""

    one: Open
    other: Open

    @property
    def per_position(self) -> bool:
        return self.one.per_position or self.other.per_position

    @property
    def fixed(self) -> Open | None:
        return either(self.one.fixed, self.other.fixed)

    def features(self, masks: Masks, xp: Any = np) -> Any:
        one, other = self.one.features(masks, xp), self.other.features(masks, xp)
        return one + other - one * other

    def share(self, averages: Averages) -> Any:
        one, other = self.one.share(averages), self.other.share(averages)
        return one + other - one * other


@dataclasses.dataclass(frozen=True)
class JoinedOpen(Open):
    """Features side by side: pairs of a description (`None`: all open) and a width."""

    parts: tuple[tuple[Open | None, int], ...]

    @property
    def per_position(self) -> bool:
        return any(part is not None and part.per_position for part, _ in self.parts)

    @property
    def fixed(self) -> Open | None:
        return joined((None if part is None else part.fixed, width) for part, width in self.parts)

    def features(self, masks: Masks, xp: Any = np) -> Any:
        pieces = [
            xp.ones((1, width), "float32") if part is None else part.features(masks, xp)
            for part, width in self.parts
        ]
        rank = max(len(piece.shape) for piece in pieces)
        pieces = [with_rank(piece, rank, xp) for piece in pieces]
        lead = np.broadcast_shapes(*(tuple(piece.shape[:-1]) for piece in pieces))
        return xp.concatenate(
            [xp.broadcast_to(piece, (*lead, piece.shape[-1])) for piece in pieces], axis=-1
        )

    def share(self, averages: Averages) -> Any:
        total = sum(width for _, width in self.parts)
        return sum(
            (1.0 if part is None else part.share(averages)) * (width / total)
            for part, width in self.parts
        )


@dataclasses.dataclass(frozen=True)
class ReshapedOpen(Open):
    """Features of a tensor that was reshaped from one shape (without batch axis) to another."""

    source: Open
    old_shape: tuple[int, ...]
    new_shape: tuple[int, ...]

    @property
    def per_position(self) -> bool:
        return len(self.new_shape) > 1

    @property
    def fixed(self) -> Open | None:
        source = self.source.fixed
        return None if source is None else dataclasses.replace(self, source=source)

    def features(self, masks: Masks, xp: Any = np) -> Any:
        features = with_rank(self.source.features(masks, xp), len(self.old_shape) + 1, xp)
        samples = features.shape[0]
        features = xp.broadcast_to(features, (samples, *self.old_shape))
        return xp.reshape(features, (samples, *self.new_shape))

    def share(self, averages: Averages) -> Any:
        return self.source.share(averages)


@dataclasses.dataclass(frozen=True)
class PooledOpen(Open):
    """Channels after all their positions have become one, where the positions are alike."""

    source: Open

    @property
    def per_position(self) -> bool:
        return False

    @property
    def fixed(self) -> Open | None:
        source = self.source.fixed
        return None if source is None else PooledOpen(source)

    def features(self, masks: Masks, xp: Any = np) -> Any:
        features = self.source.features(masks, xp)
        return xp.reshape(features, (features.shape[0], -1))

    def share(self, averages: Averages) -> Any:
        return self.source.share(averages)


@dataclasses.dataclass(frozen=True)
class KeptOpen(Open):
    """Features of which some are there and the others have been removed, whatever gates do."""

    kept: tuple[bool, ...]

    @property
    def per_position(self) -> bool:
        return False

    @property
    def fixed(self) -> Open | None:
        return self

    def features(self, masks: Masks, xp: Any = np) -> Any:
        return xp.array([self.kept], "float32")

    def share(self, averages: Averages) -> Any:
        return sum(self.kept) / len(self.kept)


@dataclasses.dataclass(frozen=True)
class ShareOpen(Open):
    """A share of the features that is always the same: `top_k` of so many experts."""

    open_share: float

    @property
    def per_position(self) -> bool:
        return False

    @property
    def fixed(self) -> Open | None:
        return None

    def features(self, masks: Masks, xp: Any = np) -> Any:
        return xp.full((1, 1), self.open_share)

    def share(self, averages: Averages) -> Any:
        return self.open_share


def gates_in(part: Open | None) -> set[Any]:
    """Give the gates that a description names, none for `None`."""
    if isinstance(part, GateOpen):
        return {part.gate}
    if isinstance(part, JoinedOpen):
        return set().union(*(gates_in(each) for each, _ in part.parts))
    values = [] if part is None else vars(part).values()
    return set().union(*(gates_in(value) for value in values if isinstance(value, Open)))


def with_rank(features: Any, rank: int, xp: Any = np) -> Any:
    """Insert axes of size 1 after the samples, for positions that all are alike."""
    missing = rank - len(features.shape)
    return xp.reshape(features, (*features.shape[:1], *([1] * missing), *features.shape[1:]))


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


def joined(parts: Iterable[tuple[Open | None, int]]) -> Open | None:
    """Put descriptions of the given widths, `None` meaning all open, side by side."""
    parts = tuple(parts)
    return None if all(part is None for part, _ in parts) else JoinedOpen(parts)
