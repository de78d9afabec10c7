"""The error that the commands show without a traceback."""

import contextlib
from collections.abc import Iterator


class WrongInput(Exception):
    """A file or an argument cannot be used; the message says why."""


@contextlib.contextmanager
def wrong_input() -> Iterator[None]:
    """Turn errors about files and what the user gave, or has not installed, into a `WrongInput`."""
    try:
        yield
    except OSError as error:
        # Those of the loaders have a text of their own.
        text = f"cannot read or write {error.filename!r}: {error.strerror}"
        raise WrongInput(text if error.filename else str(error)) from error
    except (ValueError, ImportError, MemoryError) as error:
        raise WrongInput(str(error)) from error
