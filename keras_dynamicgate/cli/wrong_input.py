"""The error that the command line shows without a traceback."""

import contextlib
from collections.abc import Iterator


class WrongInput(Exception):
    """What the user gave cannot be used; the message says why."""


@contextlib.contextmanager
def wrong_input() -> Iterator[None]:
    """Turn complaints about what the user gave, or has not installed, into a `WrongInput`."""
    try:
        yield
    except (ValueError, FileNotFoundError, ImportError) as error:
        raise WrongInput(str(error)) from error
