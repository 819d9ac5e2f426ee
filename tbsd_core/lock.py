"""One process at a time in an output folder; a killed one leaves nothing to clean up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder`, which is created, until the block ends. The lock is the operating system's: it ends with
    the process, however that ends.

    Raises:
        RuntimeError: another process holds the folder.
        OSError: the folder cannot be written.
    """
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _held(path)
    except OSError as error:
        raise OSError(
            f"The folder {folder} cannot be written ({error.strerror or error}). Choose another one, or allow writing."
        ) from error
    if handle is None:
        raise RuntimeError(f"Another run is writing to {folder}. Wait for its end, or choose another folder.")
    try:
        yield
    finally:
        with suppress(OSError):  # Windows does not remove open files; an old one does no harm
            path.unlink()
        os.close(handle)


def _held(path: Path) -> int | None:
    """The open and locked file; None if another process has it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if not _lock(handle):
            os.close(handle)
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        os.close(handle)  # whoever held it before has removed it meanwhile: lock the file that others see


def _lock(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
