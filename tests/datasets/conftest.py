"""Where the tests find real data, and where nothing is written."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps the tests out of the user's own cache."""
    home = tmp_path / "keras_home"
    monkeypatch.setenv("KERAS_HOME", str(home))
    return home


@pytest.fixture
def real_data(data_dir: Path) -> Callable[[str], Path]:
    """Finds the originals of one data set, or skips the test."""

    def find(name: str) -> Path:
        if not (data_dir / name).is_dir():
            pytest.skip(f"no real data: {data_dir / name} is missing")
        return data_dir / name

    return find


@pytest.fixture
def write_idx() -> Callable[[Path, np.ndarray], None]:
    """Writes an array of bytes as an idx file, compressed if the name ends in .gz."""

    def write(path: Path, array: np.ndarray) -> None:
        header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
        content = header + array.astype("uint8").tobytes()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)

    return write
