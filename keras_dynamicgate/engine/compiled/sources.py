"""What compiled kernels are looked up by in Numba's cache."""

import functools
import hashlib
from pathlib import Path


@functools.cache
def digest():
    """Identify the source of all kernels.

    Numba's cache looks at the file of the function that is cached, not at the files of those that
    it calls. A cached function that closes over this string is compiled anew when any of them
    changes.
    """
    folder = Path(__file__).parent
    files = sorted([*folder.glob("kernels*.py"), folder / "opcodes.py", folder / "tile_code.py"])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
