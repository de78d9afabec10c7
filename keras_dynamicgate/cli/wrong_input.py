"""The error that the commands show without a traceback."""

import contextlib
from collections.abc import Iterator


class WrongInput(Exception):
    """A file or an argument cannot be used; the message says why."""


@contextlib.contextmanager
def wrong_input() -> Iterator[None]:
    """Turn errors about what the user gave, or has not installed, into a `WrongInput`."""
    try:
        yield
    except (ValueError, FileNotFoundError, ImportError, MemoryError) as error:
        raise WrongInput(str(error)) from error
