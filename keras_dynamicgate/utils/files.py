"""Files that are either complete or not there."""

import glob
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_DAY = 24 * 60 * 60


@contextmanager
def written_at_once(path: Path) -> Iterator[Path]:
    """Give a temporary path that becomes `path` when the block ends without an error.

    The temporary path lies beside `path`, so the last step is one renaming: other processes see
    nothing or the whole file, even if this one is killed.

    Args:
        path: File or folder to write.

    Yields:
        The path to write to. It does not exist yet.

    Raises:
        OSError: If it cannot be written, with the name of `path`.

    Examples:
        >>> with written_at_once(Path("features.npz")) as part:
        ...     part.write_bytes(content)
    """
    remove_leftovers(path)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        if part.is_dir() and path.is_dir():
            # Another process finished the same folder meanwhile; one of the two is enough.
            _remove(part)
        else:
            os.replace(part, path)
    except BaseException as error:
        _remove(part)
        if isinstance(error, OSError):
            _name(error, part, path)
        raise


def remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed a day ago or earlier had written of `path`.

    Args:
        path: File or folder that `written_at_once` was to write. It stays as it is.

    Examples:
        >>> remove_leftovers(Path("features.npz"))
    """
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        # Another process may be faster, and a shared folder may be read-only.
        with suppress(OSError):
            # A younger one may belong to a process that is still writing.
            if time.time() - part.stat().st_mtime > _DAY:
                _remove(part)


def _name(error: OSError, part: Path, path: Path) -> None:
    """Name `path` in an error that names no file, as of a full disk, or one that nobody knows."""
    nameless = error.filename is None or os.fsdecode(error.filename).startswith(str(part))
    # One that was raised with a text alone has no place for a name.
    if nameless and error.strerror is not None:
        error.filename, error.filename2 = str(path), None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
