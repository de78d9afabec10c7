"""When the governor moves its budget: no clock, no threads, no engine."""

import collections
import dataclasses

# A period is at least that long and has at least so many requests; the last `PERIODS` are judged.
PERIOD_SECONDS, PERIOD_REQUESTS, PERIODS = 1.0, 20, 10
LATE = 0.01  # the share of the requests that a p99 leaves over the target
WELL_BELOW = 0.7  # of the target; where the p99 is below, the budget may rise
FALL = 4  # rungs
LONGEST_WAIT = 16  # windows
LESS_LOAD = 0.8  # of that at which a trial failed; with less, it may be tried at once


@dataclasses.dataclass(slots=True)
class Counts:
    """A period: when it began, its requests, those over the target and not well below it."""

    began: float
    requests: int = 0
    late: int = 0
    near: int = 0


class ControlLaw:
    """Moves along the rungs of a ladder of budgets so that the p99 of requests is in its target.

    Judged are the requests of the last ten periods that came after the budget moved.

    - Down by `FALL` rungs as soon as more than 1 % of the requests are late, of as many as a whole
      window has: under overload that is after a tenth of a second, not after ten.
    - Up by one rung where the p99 of a whole window is well below the target. That is a trial until
      the rung has held for as long as was waited for it.
    - Back by one rung only where a trial fails; each time that one does, twice as long is waited
      before the next that goes as high. Failures are forgotten once the rung has held, or when the
      load is a fifth less than it was.

    Args:
        rungs: Integer, their number. It begins on the top one.
        now: Float, the time in seconds.

    Attributes:
        rung: Integer, the rung to serve at.
        settled: Whether the budget has stayed for a whole window.
        out_of_reach: Whether the lowest rung does not hold the target over a whole window.
    """

    def __init__(self, rungs: int, now: float) -> None:
        self._top = rungs - 1
        self._trial = False
        self._forget()
        self._load = 0.0
        self._expected = PERIODS * PERIOD_REQUESTS
        self._move_to(self._top, now)

    def _forget(self) -> None:
        """Forget which trial failed."""
        self._failed: int | None = None
        self._failed_load = 0.0
        self._wait = 1

    def _move_to(self, rung: int, now: float) -> None:
        self.rung = rung
        self.settled = self.out_of_reach = False
        self._moved = now
        self._periods = 0
        self._window = collections.deque([Counts(now)], PERIODS)

    def note(self, ratio: float, began: float, now: float) -> None:
        """Take a request into account.

        Args:
            ratio: Float, its latency or the length of the queue, divided by the target.
            began: Float, when it came.
            now: Float, the time.
        """
        if began < self._moved:
            return  # it waited for requests at another budget
        counts = self._window[-1]
        counts.requests += 1
        if ratio > WELL_BELOW:
            counts.near += 1
        if ratio > 1.0:
            counts.late += 1
            if self.rung and self._late() > LATE * max(self._requests(), self._expected):
                self._fall(now)
                return
        if counts.requests >= PERIOD_REQUESTS and now - counts.began >= PERIOD_SECONDS:
            self._end_period(now)

    def _requests(self) -> int:
        return sum(period.requests for period in self._window)

    def _late(self) -> int:
        return sum(period.late for period in self._window)

    def _fall(self, now: float) -> None:
        rungs = FALL
        if self._trial:
            rungs, self._failed, self._failed_load = 1, self.rung, self._load
            self._wait = min(2 * self._wait, LONGEST_WAIT)
        self._trial = False
        self._move_to(max(self.rung - rungs, 0), now)

    def _end_period(self, now: float) -> None:
        self._periods += 1
        self.settled = self._periods >= PERIODS
        if self.settled:
            self._expected = self._requests()
            self._load = self._expected / (now - self._window[0].began)
            self.out_of_reach = self.rung == 0 and self._late() > LATE * self._expected
        if self.settled and self._may_rise():
            self._trial = True
            self._move_to(self.rung + 1, now)
        else:
            self._window.append(Counts(now))

    def _may_rise(self) -> bool:
        """Tell whether the next rung may be tried."""
        if self._load < LESS_LOAD * self._failed_load:
            self._forget()
        as_high = self._failed is not None and self.rung + 1 >= self._failed
        if self._periods < PERIODS * (self._wait if as_high else 1):
            return False
        self._trial = False  # it has held
        if self._failed is not None and self.rung >= self._failed:
            self._forget()
        near = sum(period.near for period in self._window)
        return self.rung < self._top and near <= LATE * self._expected
