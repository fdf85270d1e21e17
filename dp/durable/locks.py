"""Locks and open files that belong to the process that opened them.

A lock of `flock` belongs to the *open file*, which a forked child shares. So a lock is released by name before its
descriptor is closed: a child that lives on does not keep it. And every child closes its copies first of all: a lock
is gone when its owner is, however many children it had.
"""

import errno
import io
import os
import threading
import weakref
from pathlib import Path
from types import ModuleType
from typing import Final, Self

from dp.errors import FileLockedError

__all__ = ["FileLock", "OwnedFile", "check_lockable", "lock_exclusively"]

fcntl: ModuleType | None
msvcrt: ModuleType | None
try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None
try:
    import msvcrt
except ImportError:
    msvcrt = None

_FLAGS: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

_LOCKED_BYTE: Final = 2**31 - 2
"""Windows locks bytes, against readers too: this one is beyond what anybody reads."""

_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})

# A fork waits until no descriptor is half opened or half closed.
_guard: Final = threading.RLock()


class OwnedFile:
    """An open file of this process; a forked child has none.

    Args:
        path: of the file.
        flags: of `os.open`.
        mode: the permissions of a new file.

    Raises:
        OSError: it cannot be opened.
    """

    # Python's raw file closes its descriptor in one step: what interrupts `close` leaves it open, to be closed again.
    _file: io.FileIO | None = None

    def __init__(self, path: Path, *, flags: int, mode: int) -> None:
        self._process = os.getpid()
        with _guard:
            _owned.add(self)
            self._file = io.FileIO(path, "r+", opener=lambda name, _: os.open(name, flags | _FLAGS, mode))

    @property
    def descriptor(self) -> int | None:
        """The descriptor; None when it is closed, and in another process."""
        file = self._file
        return None if file is None or file.closed or os.getpid() != self._process else file.fileno()

    def close(self) -> None:
        """Unlocks and closes it; a second call does nothing, and neither does one in another process."""
        with _guard:
            descriptor = self.descriptor
            if self._file is not None and descriptor is not None:
                try:
                    _unlock(descriptor)
                finally:
                    self._file.close()

    def close_in_child(self) -> None:
        """Closes a child's copy, and leaves the parent's lock alone."""
        if self._file is not None:
            self._file.close()

    def __del__(self) -> None:
        # An interruption between opening and the caller's `with` would leave the lock to nobody.
        self.close()


_owned: Final[weakref.WeakSet[OwnedFile]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for file in tuple(_owned):
        file.close_in_child()
    _owned.clear()
    _guard.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_after_fork_in_child)


class FileLock:
    """A file that one process at a time holds locked; as a context manager, or until `close`.

    Args:
        path: of the lock's own file, made if it is not there. Not that of a file that is replaced: a lock would stay
            with the old one.
        guarded: what errors name.
        reason: why another process has it, such as "another process is at this run".

    Raises:
        FileLockedError: somebody holds it, or there are no locks here.
        OSError: it cannot be opened.

    Guarantees:
        It is released by `close`, and when the process that took it ends, whatever children it has. In a forked child
        it is not held, and closing it there does nothing.
    """

    def __init__(self, path: Path, *, guarded: Path, reason: str) -> None:
        check_lockable(guarded)
        self._file = OwnedFile(path, flags=os.O_RDWR | os.O_CREAT, mode=0o600)
        try:
            descriptor = self._file.descriptor
            if descriptor is not None:
                lock_exclusively(descriptor, guarded, reason)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Unlocks it; a second call does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_lockable(path: Path) -> None:
    """Refuses a system that has no locks, before anything is begun that would need one.

    Raises:
        FileLockedError: it has neither `flock` (Linux, macOS, BSD) nor `msvcrt.locking` (Windows).
    """
    if fcntl is None and msvcrt is None:
        raise FileLockedError(path, "this platform has neither flock nor msvcrt.locking, so nothing is written here")


def lock_exclusively(descriptor: int, path: Path, reason: str) -> None:
    """Locks an open file until it is unlocked or closed, or its process ends.

    Raises:
        FileLockedError: somebody else holds the lock, with `reason`; or there are none on this platform or file system.
    """
    check_lockable(path)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif msvcrt is not None:
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        raise FileLockedError(path, reason) from None
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise FileLockedError(path, "this file system has no locks, so nothing is written here") from None
        raise


def _unlock(descriptor: int) -> None:
    # Windows has no children that share it, and unlocks what is closed.
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
