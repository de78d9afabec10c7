"""The key of the compiled kernels in Numba's cache."""

import functools
import hashlib
from pathlib import Path


@functools.cache
def digest() -> str:
    """Identify the sources of all kernels.

    Numba's cache compares the file of the cached function, but not the files of the functions that
    it calls. A cached function that closes over this string is compiled again when any changes.
    """
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
