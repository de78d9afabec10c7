"""What a server did, second by second."""

import array
import collections
from typing import NamedTuple

import numpy as np

from keras_dynamicgate.serving.control_law import PERIOD_REQUESTS, PERIOD_SECONDS

MOST_KEPT = 3600


class Moment(NamedTuple):
    """A second or longer, until 20 requests have come.

    Attributes:
        time: Seconds of the clock at its end.
        p99: Of the latency in seconds, or of the length of the queue.
        load: Requests in a second.
        budget: The relative MACs at its end.
    """

    time: float
    p99: float
    load: float
    budget: float


class History:
    """Keeps the last hour or more, a `Moment` for each second in which there was enough to do.

    Args:
        now: Float, the time in seconds.
    """

    def __init__(self, now: float) -> None:
        self.moments: collections.deque[Moment] = collections.deque(maxlen=MOST_KEPT)
        self._values = array.array("d")
        self._began = now

    def add(self, value: float, budget: float, now: float) -> None:
        """Add the latency of a request, or the length of the queue that it found."""
        self._values.append(value)
        passed = now - self._began
        if passed >= PERIOD_SECONDS and len(self._values) >= PERIOD_REQUESTS:
            # The smallest value that at most 1 % are above.
            p99 = float(np.quantile(self._values, 0.99, method="inverted_cdf"))
            self.moments.append(Moment(now, p99, len(self._values) / passed, budget))
            self._values = array.array("d")
            self._began = now
