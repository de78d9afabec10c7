"""`BudgetGovernor`: holds a target of latency by moving the budget of an engine."""

import math
import numbers
import threading
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_dynamicgate.engine.engine import InferenceEngine
from keras_dynamicgate.pictures.serving import plot_serving
from keras_dynamicgate.serving.control_law import ControlLaw
from keras_dynamicgate.serving.history import History, Moment
from keras_dynamicgate.utils import checks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNG = 1.2  # by which a budget is at most larger than the next smaller one


class BudgetGovernor:
    """Moves the budget of an engine with the load, so that 99 % of the requests are in time.

    It begins at the largest budget, goes to about half as soon as more than 1 % of the requests are
    late, and back up by steps of a fifth while the p99 of ten seconds is below .7 of the target. A
    step up that makes requests late is taken back, and each time it is twice as long until the
    next. Where no budget of the range holds the target, the governor stays at the smallest, warns
    once and says so in `state`.

    `predict` measures what a call takes, with whatever it waits for on the machine. A server with
    a queue measures itself, from the arrival of a request to its answer: it calls `engine.predict`,
    which follows the governor's budget, and `observe`. Any number of threads may do either; a call
    has one budget from beginning to end.

    Args:
        engine: An `InferenceEngine` of a model that was trained for several budgets. Its budget is
            the governor's to set.
        latency: Float, seconds above 0: the target of the p99 of latency. Defaults to `None`.
        range: Tuple `(smallest, largest)` of budgets, relative MACs, within those that the model
            was trained for. Defaults to `None`: these.
        queue_length: Number above 0: the target of the p99 of the number of requests that wait or
            run, in place of `latency`. Defaults to `None`.
        clock: Function that gives the time in seconds, for simulations. Defaults to
            `time.perf_counter`.

    Raises:
        ValueError: If the engine has one budget only, if not exactly one target is given, or if an
            argument is out of what is allowed.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((64,)),
        ...     keras_dynamicgate.DynamicGateDense(64, activation="relu"),
        ...     keras.layers.Dense(2),
        ... ])
        >>> falling = keras.optimizers.schedules.CosineDecay(3e-3, decay_steps=320)
        >>> model.compile(keras.optimizers.Adam(falling), "mse")
        >>> x = np.random.default_rng(0).normal(size=(256, 64)).astype("float32")
        >>> several = keras_dynamicgate.MacBudget([0.8, 0.4])
        >>> history = model.fit(x, x[:, :2], epochs=40, verbose=0, callbacks=[several])
        >>> engine = keras_dynamicgate.InferenceEngine(model, threads=1)
        >>> governor = keras_dynamicgate.BudgetGovernor(engine, latency=0.005)
        >>> governor.predict(x[:1]).shape, governor.budget
        ((1, 2), 0.8)
    """

    def __init__(
        self,
        engine: InferenceEngine,
        latency: float | None = None,
        range: tuple[float, float] | None = None,
        *,
        queue_length: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        smallest, largest = _checked_range(engine, range)
        if (latency is None) == (queue_length is None):
            raise ValueError(
                "Exactly one of the arguments `latency` and `queue_length` must be given. "
                f"Received: latency={latency!r}, queue_length={queue_length!r}"
            )
        self._of_time = latency is not None
        for name, target in {"latency": latency, "queue_length": queue_length}.items():
            if target is not None:
                checks.number(name, target, "above 0", lambda value: value > 0)
                self._target = float(target)
        steps = math.ceil(math.log(largest / smallest) / math.log(RUNG))
        self._budgets: list[float] = np.geomspace(smallest, largest, steps + 1).tolist()
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._running = 0
        self._has_warned = False
        self._law = ControlLaw(steps + 1, clock())
        self._history = History(clock())
        engine.budget = self.budget

    @property
    def budget(self) -> float:
        """The budget of the calls that begin now."""
        return self._budgets[self._law.rung]

    @property
    def state(self) -> str:
        """What is known of the target.

        One of `"settling"`, in the first ten seconds at a budget; `"holding"`; `"at the largest"`,
        that is, holding with nothing to save; and `"out of reach"`, when the smallest budget does
        not hold it.
        """
        with self._lock:
            if self._law.out_of_reach:
                return "out of reach"
            if not self._law.settled:
                return "settling"
            top = self._law.rung == len(self._budgets) - 1
            return "at the largest" if top else "holding"

    @property
    def history(self) -> list[Moment]:
        """The last hour or more, as named tuples `(time, p99, load, budget)`.

        There is one for each second in which 20 requests were answered; with fewer, they are
        longer. `load` is in requests a second.
        """
        with self._lock:
            return list(self._history.moments)

    def predict(self, x: Any) -> np.ndarray:
        """Answer by the engine at the budget of the moment, and observe how long it takes.

        With `queue_length`, observe how many calls are running.

        Args:
            x: Inputs as for `InferenceEngine.predict`.

        Returns:
            What `InferenceEngine.predict` returns.
        """
        began = self._clock()
        with self._lock:
            self._running += 1
            running = self._running
        try:
            outputs = self._engine.predict(x)
        finally:
            with self._lock:
                self._running -= 1
        now = self._clock()
        self._note(now - began if self._of_time else running, began, now)
        return outputs

    def observe(self, value: float) -> None:
        """Take a request into account that was answered now or, with `queue_length`, came now.

        Args:
            value: Float of at least 0: the seconds from its arrival to its answer or, with
                `queue_length`, how many requests wait or run.

        Raises:
            ValueError: If `value` is negative or not finite.
        """
        if not 0 <= value < math.inf:
            raise ValueError(
                f"Argument `value` must be a finite number of at least 0. Received: value={value!r}"
            )
        now = self._clock()
        self._note(value, now - value if self._of_time else now, now)

    def _note(self, value: float, began: float, now: float) -> None:
        with self._lock:
            before = self._law.rung
            self._law.note(value / self._target, began, now)
            if self._law.rung != before:
                self._engine.budget = self.budget
            self._history.add(value, self.budget, now)
            warns = self._law.out_of_reach and not self._has_warned
            self._has_warned |= warns
        if warns:
            self._warn()

    def _warn(self) -> None:
        what = f"latency of {self._target:g} s" if self._of_time else f"queue of {self._target:g}"
        last = self.history[-1]
        warnings.warn(
            f"No budget from {self._budgets[0]:g} to {self._budgets[-1]:g} holds a p99 {what}: at "
            f"the smallest it is {last.p99:.3g}, with {last.load:.3g} requests a second. The "
            "governor serves at the smallest; its `state` says when the target is held again.",
            stacklevel=4,
        )

    def plot(self) -> "Figure":
        """Draw load, p99 and budget over the time of `history`.

        Returns:
            A matplotlib `Figure`; save it with `figure.savefig(path)`.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        measured = "latency, seconds" if self._of_time else "queue"
        return plot_serving(self.history, self._target, f"p99 of {measured}")


def _checked_range(engine: InferenceEngine, range: object) -> tuple[float, float]:
    """Give the smallest and largest budget, or raise a `ValueError`."""
    trained = engine.budgets
    if not trained:
        raise ValueError(
            "Argument `engine` must be of a model that was trained for several budgets, as "
            f"`MacBudget((0.05, 0.5))` does. Received: engine={engine!r}"
        )
    if range is None:
        return trained[0], trained[-1]
    if not (
        isinstance(range, (tuple, list))
        and len(range) == 2
        and all(isinstance(each, numbers.Real) for each in range)
        and trained[0] <= range[0] < range[1] <= trained[-1]
    ):
        raise ValueError(
            "Argument `range` must be a tuple (smallest, largest) of numbers from "
            f"{trained[0]:g} to {trained[-1]:g}, the budgets that the model was trained for. "
            f"Received: range={range!r}"
        )
    return float(range[0]), float(range[1])
