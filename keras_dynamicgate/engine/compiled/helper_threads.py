"""Threads that help with calls of engines, shared by all engines of a process."""

import os
import queue
import threading

_jobs: queue.SimpleQueue = queue.SimpleQueue()
_lock = threading.Lock()
_started = 0
# Counts the forks that led to this process: helpers of a process before are not in this one.
generation = 0


def ask(count, function):
    """Ask for help: up to `count` threads each call `function()`, if they are free.

    Nobody waits for them, and nobody is promised that they come.

    Args:
        count: Integer.
        function: A function that releases the GIL and may be called too late.
    """
    if _started < count:
        _start(count)
    # Where the helpers do not keep up, more calls for help would only pile up.
    for _ in range(count - _jobs.qsize()):
        _jobs.put(function)


def _start(count):
    global _started
    with _lock:
        for _ in range(_started, count):
            threading.Thread(target=_serve, args=(_jobs,), daemon=True, name="kdg-helper").start()
        _started = max(_started, count)


def _serve(jobs):
    while True:
        function = jobs.get()
        function()
        del function  # else the workspace of the last call would stay alive


def _forget():
    """Begin anew in a forked process, where no threads are left."""
    global _jobs, _lock, _started, generation
    _jobs, _lock, _started = queue.SimpleQueue(), threading.Lock(), 0
    generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
