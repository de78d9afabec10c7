"""What matrix products cost when some of their inputs and outputs are closed."""

import dataclasses
import math
from typing import Any

import numpy as np
from keras import ops

from keras_dynamicgate.gating.openness import Averages, Masks, Open, with_rank


def positions(shape: tuple[int, ...]) -> int:
    """Count the positions of a tensor of `shape` (without batch axis): all axes but the last.

    Args:
        shape: Tuple of integers, without the batch axis.

    Returns:
        An integer.

    Examples:
        >>> keras_dynamicgate.macs.positions((10, 10, 3))
        100
    """
    return math.prod(shape[:-1])


@dataclasses.dataclass
class Product:
    """A matrix product or convolution of one sample.

    Attributes:
        macs: Integer, multiply-accumulates per sample with everything open.
        inputs: Which input features are open, `None` if all are.
        outputs: Which output features are computed, `None` if all are.
        of_gate: Whether it belongs to a gate network.
        kept: Array or Keras variable of zeros and ones of shape `(inputs, outputs)`, the weights
            of the kernel that are kept where single ones have been removed, `None` if all are.
        layer: The Keras layer whose kernel of shape `(..., inputs, outputs)` is multiplied, `None`
            where there is no such layer.
        nonzero: Which input features may differ from 0, `None` if all may. A closed feature may be
            another constant, whose row of the kernel then matters.

    Examples:
        >>> keras_dynamicgate.macs.Product(macs=64 * 10).executed({})
        640.0
    """

    macs: int
    inputs: Open | None = None
    outputs: Open | None = None
    of_gate: bool = False
    kept: Any = None
    layer: Any = None
    nonzero: Open | None = None

    @property
    def theoretical(self) -> bool:
        """Whether single weights count as saved, which takes special kernels to save time."""
        return self.kept is not None and not np.all(ops.convert_to_numpy(self.kept))

    def executed(self, masks: Masks) -> float:
        """Average the multiply-accumulates over the samples of `masks`."""
        return self.macs * float(np.mean(self._fraction(masks), dtype="float64"))

    def executed_per_sample(self, masks: Masks) -> Any:
        """Give the multiply-accumulates of each sample, of shape `(samples or 1,)`."""
        fraction = self._fraction(masks)
        return self.macs * fraction.reshape(len(fraction), -1).mean(axis=1, dtype="float64")

    def _fraction(self, masks: Masks) -> Any:
        """Give the share that is executed, of shape `(samples or 1, ...)`."""
        if self.kept is not None:
            kept = ops.convert_to_numpy(self.kept).astype("float32")
            return self._open_weights(kept, masks) / kept.size
        fraction: Any = np.ones((1,), "float32")
        for part in (self.inputs, self.outputs):
            if part is not None:
                fraction = _align(fraction, part.fraction(masks))
        return fraction

    def executed_on_average(self, averages: Averages) -> Any:
        """Give the multiply-accumulates, a tensor, for the average openness of each gate.

        Args:
            averages: Dict from gate to a tensor of shape `(gates,)`, or `(cases, gates)` for
                several cases at once, which gives one number for each.
        """
        if self.kept is not None:
            rows = {
                gate: ops.reshape(average, (-1, average.shape[-1]))
                for gate, average in averages.items()
            }
            kept = ops.cast(ops.convert_to_tensor(self.kept), "float32")
            open_weights = self._open_weights(kept, rows, ops)
            cases = ops.mean(ops.reshape(open_weights, (open_weights.shape[0], -1)), axis=-1)
            several = any(len(average.shape) > 1 for average in averages.values())
            return (cases if several else cases[0]) * (self.macs / math.prod(kept.shape))
        macs: Any = float(self.macs)
        for part in (self.inputs, self.outputs):
            if part is not None:
                macs = part.share(averages) * macs
        return macs

    def _open_weights(self, kept: Any, masks: Masks, xp: Any = np) -> Any:
        """Count the kept weights with open input and output, of shape `(samples or 1, ...)`."""
        rows, columns = (
            xp.ones((1, size), "float32") if part is None else part.features(masks, xp)
            for part, size in zip((self.inputs, self.outputs), kept.shape, strict=True)
        )
        through = xp.matmul(rows, kept)
        rank = max(len(through.shape), len(columns.shape))
        through, columns = with_rank(through, rank, xp), with_rank(columns, rank, xp)
        return xp.sum(through * columns, axis=-1)


def _align(one: Any, other: Any) -> Any:
    """Multiply shares by sample with shares by sample and position."""
    rank = max(one.ndim, other.ndim)
    one, other = (share.reshape(share.shape + (1,) * (rank - share.ndim)) for share in (one, other))
    return one * other


@dataclasses.dataclass
class Flow:
    """What a tensor of one sample carries from layer to layer while costs are counted.

    Attributes:
        shape: Tuple of integers, the shape without the batch axis.
        open: Which features are open, `None` if all are. A closed feature is the same number for
            all inputs and at all positions.
        closed_at_zero: Whether that number is 0, which a gate makes it. Behind an offset, as
            `BatchNormalization` has one, it is another, which the next bias can take in.
        producers: The products whose output features are those of this tensor and of no other, so
            that what a static gate closes here need not be computed there.
        rows: Integer, the size of the batch axis that one sample takes; more than 1 where a model
            has folded other axes into it, such as the windows of an image.

    Examples:
        >>> flow = keras_dynamicgate.macs.Flow((10, 64))
        >>> flow.open is None  # all features
        True
    """

    shape: tuple[int, ...]
    open: Open | None = None
    producers: tuple[Product, ...] = ()
    closed_at_zero: bool = True
    rows: int = 1

    @property
    def full_shape(self) -> tuple[int, ...]:
        """The shape with the batch axis."""
        return (self.rows, *self.shape)

    @property
    def nonzero(self) -> Open | None:
        """Which features may differ from 0, `None` if all may."""
        return self.open if self.closed_at_zero else None

    def channels_read(self, padded: bool) -> Open | None:
        """Give the features that a window over the positions has to read, `None` if all.

        Args:
            padded: Whether the window meets zeros beside the tensor, so that a closed feature that
                is not 0 adds something else at the border.
        """
        features = self.nonzero if padded else self.open
        return None if features is None or features.per_position else features

    def shifted(self) -> "Flow":
        """Give what becomes of it where 0 is turned into something else.

        A feature that an input-dependent gate closes for some inputs then is no longer left out of
        the products that read it.
        """
        fixed = None if self.open is None else self.open.fixed
        return dataclasses.replace(self, open=fixed, closed_at_zero=False)
