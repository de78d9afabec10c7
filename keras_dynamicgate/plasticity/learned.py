"""`Learned`: what has become of samples that a learner was given."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Learned:
    """What has become of some samples that a learner was given.

    Attributes:
        version: Integer, the version that answers from now on.
        published: Whether it is a new one.
        loss: Float, the loss on the samples before the step.
        reason: Why nothing was published, or `None`.

    Examples:
        >>> learned = keras_dynamicgate.plasticity.Learned(3, published=True, loss=0.25)
        >>> learned.reason is None
        True
    """

    version: int
    published: bool
    loss: float
    reason: str | None = None
