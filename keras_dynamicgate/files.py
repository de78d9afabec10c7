"""Files that are either complete or not there."""

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DAY = 24 * 60 * 60


@contextmanager
def written_at_once(path: Path) -> Iterator[Path]:
    """Gives a temporary path that becomes `path` when the block ends without an error.

    The temporary path lies beside `path`, so the last step is one renaming: whoever looks sees
    nothing or the whole file, also after a killed process.

    Args:
        path: File or folder to write.

    Yields:
        The path to write to. It does not exist yet.

    Examples:
        >>> with written_at_once(Path("features.npz")) as part:
        ...     part.write_bytes(content)
    """
    _remove_leftovers(path)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        if part.is_dir() and path.is_dir():
            # Another process finished the same folder meanwhile; one of the two is enough.
            _remove(part)
        else:
            os.replace(part, path)
    except BaseException:
        _remove(part)
        raise


def _remove_leftovers(path: Path) -> None:
    for part in path.parent.glob(f".{path.name}.*.part"):
        # A younger one may belong to a process that is still writing.
        if time.time() - part.stat().st_mtime > _DAY:
            _remove(part)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
