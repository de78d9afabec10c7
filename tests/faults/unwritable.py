"""Disks on which nothing can be written: the operating system's own refusals, for any user."""

import contextlib
import errno
import os
import resource

NOBODY = 65534


@contextlib.contextmanager
def full_disk(folder):
    """Let no file grow beyond ten bytes. A file that cannot grow is a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        yield os.strerror(errno.EFBIG)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextlib.contextmanager
def read_only_folder(folder):
    """Forbid to create files below a folder, also to root, whom permissions do not stop."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    user = os.geteuid()
    for each in folders:
        each.chmod(0o555)
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield os.strerror(errno.EACCES)
    finally:
        os.seteuid(user)
        for each in folders:
            each.chmod(0o755)
