"""Threads that help with calls of engines, shared by all engines of a process."""

import os
import queue
import threading
from collections.abc import Callable

_jobs: queue.SimpleQueue = queue.SimpleQueue()
_lock = threading.Lock()
_started = 0
# The number of forks that led to this process, since a fork does not copy helpers.
generation = 0


def ask(count: int, function: Callable[[], None]) -> None:
    """Let up to `count` threads call `function()`, as soon as they are free.

    The caller does not wait, and must do without them if they are busy.

    Args:
        count: Integer.
        function: A function that releases the GIL and does no harm if it is called too late.
    """
    if _started < count:
        _start(count)
    # No more requests than there are helpers: where these are busy, requests would pile up.
    for _ in range(count - _jobs.qsize()):
        _jobs.put(function)


def _start(count: int) -> None:
    global _started
    with _lock:
        for _ in range(_started, count):
            threading.Thread(target=_serve, args=(_jobs,), daemon=True, name="kdg-helper").start()
        _started = max(_started, count)


def _serve(jobs: queue.SimpleQueue) -> None:
    while True:
        function = jobs.get()
        function()
        del function  # it holds the workspace of the last call


def _forget() -> None:
    """Start over in a forked process, which has no helpers."""
    global _jobs, _lock, _started, generation
    _jobs, _lock, _started = queue.SimpleQueue(), threading.Lock(), 0
    generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
