"""One process at a time in an output folder; a killed one leaves nothing to clean up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import FileLock

NAME = ".lock"
ASKED_AGAIN = 0.02  # seconds
_asking = Lock()  # of the threads of this process


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder`, which is created, until the block ends. The lock is the operating system's: it ends with
    the process, however that ends.

    Raises:
        RuntimeError: another process holds the folder.
        OSError: the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(path).acquire(timeout=0)
    except Timeout as error:
        raise RuntimeError(
            f"Another run is writing to {folder}. Wait until it ends, or choose another folder."
        ) from error
    except OSError as error:
        raise OSError(
            f"The folder {folder} cannot be written ({error.strerror or error}). Choose another one, or allow writing."
        ) from error
    with held:
        try:
            yield
        finally:
            with suppress(OSError):  # Windows does not remove open files; an old one does no harm
                path.unlink()


def hold(folder: Path) -> FileLock:
    """The lock of a folder, which is created, held until its `release` or the end of the process; its file stays.

    Raises:
        OSError: the folder cannot be written.
    """
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / NAME, thread_local=False)
    lock.acquire(timeout=1)  # a process that asks whether the folder is held, holds it for that moment
    return lock


def is_held(folder: Path) -> bool:
    """Whether some process, this one included, holds an existing folder."""
    from filelock import FileLock, Timeout

    path = folder / NAME
    if not path.exists():
        return False
    try:  # to ask is to hold it for a moment: who asks at that moment, too, in another process, asks again
        with _asking, FileLock(path, thread_local=False).acquire(timeout=ASKED_AGAIN, poll_interval=ASKED_AGAIN / 2):
            return False
    except (Timeout, OSError):
        return True
