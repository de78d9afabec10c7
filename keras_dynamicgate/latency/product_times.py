"""`ProductTimes`: what a product takes for each open share of its inputs and outputs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class ProductTimes:
    """Milliseconds of a product at some open shares, linear between them in each direction.

    Closing never makes it dearer: a time below one for smaller shares is noise and gets that one's.

    Attributes:
        layer: Name of the layer, as `count_macs` has it.
        product: Integer, the place among the products of that layer.
        input_shares: Tuple of floats from 0 to 1 that rise, the open shares of the inputs; `(1.0,)`
            for inputs that no gate closes.
        output_shares: The same of the outputs.
        milliseconds: A tuple for each input share with a float for each output share.
    """

    layer: str
    product: int
    input_shares: tuple[float, ...]
    output_shares: tuple[float, ...]
    milliseconds: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        times = np.asarray(self.milliseconds, "float64")
        shares = self.input_shares, self.output_shares
        rising = all(len(each) and np.all(np.diff(each) > 0) for each in shares)
        if times.shape != (len(shares[0]), len(shares[1])) or not rising or not np.all(times >= 0):
            raise ValueError(
                "Argument `milliseconds` must hold a number of at least 0 for each pair of open "
                f"shares, which rise. Received: milliseconds={self.milliseconds!r} for "
                f"input_shares={shares[0]!r}, output_shares={shares[1]!r} of layer {self.layer!r}"
            )
        times = np.maximum.accumulate(np.maximum.accumulate(times, axis=0), axis=1)
        object.__setattr__(self, "input_shares", tuple(map(float, shares[0])))
        object.__setattr__(self, "output_shares", tuple(map(float, shares[1])))
        object.__setattr__(self, "milliseconds", tuple(map(tuple, times.tolist())))

    @property
    def full(self) -> float:
        """Milliseconds with everything open."""
        return self.milliseconds[-1][-1]

    def at(self, inputs: Any, outputs: Any, xp: Any = np) -> Any:
        """Give the milliseconds at open shares.

        Args:
            inputs: Array or tensor, the open share of the inputs.
            outputs: That of the outputs, of the same shape.
            xp: Module of array functions: `numpy`, or `keras.ops` for tensors.
        """
        times = (
            xp.convert_to_tensor(self.milliseconds, "float32")
            if xp is not np
            else np.asarray(self.milliseconds)
        )
        rows = xp.expand_dims(nearness(inputs, self.input_shares, xp), -1)
        columns = nearness(outputs, self.output_shares, xp)
        return xp.sum(xp.sum(rows * times, axis=-2) * columns, axis=-1)


def nearness(share: Any, knots: Sequence[float], xp: Any = np) -> Any:
    """Give how much each knot counts at a share: a straight line from 1 at it to 0 at the next.

    Args:
        share: Array or tensor of any shape.
        knots: Numbers that rise.
        xp: As in `ProductTimes.at`.

    Returns:
        An array or tensor with one more axis, of the size of `knots`, along which it sums to 1.
    """
    rises = [share * 0.0 + 1.0, *climbs(share, knots, xp), share * 0.0]
    return xp.stack([rises[at] - rises[at + 1] for at in range(len(knots))], axis=-1)


def climbs(share: Any, knots: Sequence[float], xp: Any = np) -> list[Any]:
    """Give for each pair of neighbouring knots how far a share has come from one to the other."""
    pairs = zip(knots, knots[1:], strict=False)
    return [xp.clip((share - low) / (high - low), 0.0, 1.0) for low, high in pairs]
