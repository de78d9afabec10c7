"""Unpack a few files of an archive that may be hostile or broken."""

import gzip
import io
import posixpath
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from keras_dynamicgate.datasets.reading.files import LARGEST, errors_as


def unpack(archive: Path, names: Sequence[str], folder: Path) -> None:
    """Write some files of an archive into a folder, and nothing else that it holds.

    Args:
        archive: A `.tar.gz` file of at most 256 MiB once unpacked.
        names: Paths of the files in the archive. They lose their folders.
        folder: Where to put the files.

    Raises:
        ValueError: If the archive is damaged, too large or lacks one of the files. A link is not
            a file. Nothing is written then.
        OSError: If a file cannot be written.

    Examples:
        >>> unpack(Path("matrix.tar.gz"), ["hg19/genes.tsv", "hg19/matrix.mtx"], Path("unpacked"))
    """
    # One byte more than allowed is enough to refuse. A stream that ends is read to its checksum.
    with errors_as(f"{archive} is not a readable archive"), gzip.open(archive) as stream:
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{archive} must have at most {LARGEST} bytes once unpacked")
    found: dict[str, bytes] = {}
    with (
        errors_as(f"{archive} is not a readable archive"),
        # Not "r", which would unpack once more what has been unpacked.
        tarfile.open(fileobj=io.BytesIO(content), mode="r:") as file,
    ):
        # Links may lead in circles, and sparse files have more bytes than the archive.
        plain = {posixpath.normpath(m.name): m for m in file if m.isreg() and not m.issparse()}
        for name in names:
            if name in plain and (source := file.extractfile(plain[name])):
                found[name] = source.read()
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"{archive} must hold the file {missing[0]}")
    for name, data in found.items():
        (folder / PurePosixPath(name).name).write_bytes(data)
