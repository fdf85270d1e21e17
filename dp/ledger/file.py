"""The file under a ledger: lines are appended one at a time, and what was acknowledged survives any crash.

* One writer: the file is locked for as long as it is open for writing. The lock goes with the process.
* An append is one write to a file opened with O_APPEND, then fsync; a new file's folder is synced as well. The call
  returns after that, so an acknowledged line is on the disk, as far as operating system and disk keep their word.
* A crash during an append leaves a part of a line at the end, without a line feed. Nobody was told that it was written.
  The next writer moves it to FILE.torn, after whatever is there already, and says so; readers leave it where it is.
* After a failed write or fsync nobody knows what is on the disk, so the file takes no more appends until it is opened
  anew, which reads what is there.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final, Self

from dp.ledger.errors import LedgerLockedError, LedgerRefusedError
from dp.ledger.records import MAX_LINE_BYTES

__all__ = ["LedgerFile", "TornTail", "lock_exclusively", "read_lines", "sync_folder"]

fcntl: ModuleType | None
try:
    import fcntl
except ModuleNotFoundError:  # pragma: no cover - Windows: ledgers can be read and audited there
    fcntl = None

_MODE: Final = 0o644
"""A ledger holds no secrets, and auditors read it."""


@dataclass(frozen=True, slots=True)
class TornTail:
    """The part of a line that a crash left at the end of a file.

    Args:
        content: the bytes.
        moved_to: the file to which they were moved; None where the ledger was only read.
    """

    content: bytes
    moved_to: Path | None = None


def read_lines(path: Path) -> Iterator[bytes]:
    """Yields the lines of a file with their line feeds; the last one may lack its own, and is then a torn tail.

    A line far too long for a record is yielded in parts, for the reader to refuse.

    Raises:
        LedgerRefusedError: it is no regular file.
        OSError: the file cannot be read.
    """
    # A pipe would be waited for, and for ever.
    if path.exists() and not path.is_file():
        raise LedgerRefusedError("a ledger", f"{path} is no regular file")
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES + 1):
            yield line


class LedgerFile:
    """A ledger's file, open for writing and locked.

    Args:
        path: of the file.
        create: whether to make it; otherwise it must exist.

    Raises:
        LedgerLockedError: somebody else has it open for writing.
        LedgerRefusedError: it is to be made and holds a complete line already.
        OSError: it cannot be opened, read or written.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        self._broken = False
        flags = os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0) | (os.O_CREAT if create else 0)
        self._descriptor: int | None = os.open(path, flags, _MODE)
        try:
            lock_exclusively(self._descriptor, path, "another writer has the ledger open")
            self.torn = self._move_torn_tail(create)
            # A writer that crashed between write and fsync left a line that is read now and may not be on the disk.
            os.fsync(self._open())
        except BaseException:
            self.close()
            raise
        if create:
            sync_folder(path.parent)

    def append(self, lines: bytes) -> None:
        """Appends one complete line or several, durably.

        Raises:
            LedgerRefusedError: the file is closed, or an earlier append failed.
            OSError: the disk refused; the file takes no more appends until it is opened anew.
        """
        if self._descriptor is None:
            raise LedgerRefusedError("an append", "the ledger is closed")
        if self._broken:
            raise LedgerRefusedError("an append", "an earlier one failed half-way: open the ledger anew")
        self._broken = True
        written = os.write(self._descriptor, lines)
        if written != len(lines):
            raise OSError(f"{self.path}: {written} of {len(lines)} bytes were written")
        os.fsync(self._descriptor)
        self._broken = False

    def read_from(self, start: int) -> tuple[bytes, ...]:
        """Returns the lines from a place in the file on."""
        with self.path.open("rb") as file:
            file.seek(start)
            return tuple(file)

    def close(self) -> None:
        """Unlocks and closes the file; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _move_torn_tail(self, create: bool) -> TornTail | None:
        descriptor = self._open()
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise LedgerRefusedError("a ledger", f"{self.path} is no regular file")
        whole = _end_of_last_line(descriptor, status.st_size)
        if create and whole > 0:
            raise LedgerRefusedError("a new ledger", f"{self.path} holds one already")
        if whole == status.st_size:
            return None
        if status.st_size - whole > MAX_LINE_BYTES:
            raise LedgerRefusedError("a ledger", f"{self.path} ends with far more bytes than one record can leave")
        content = os.pread(descriptor, status.st_size - whole, whole)
        moved_to = self.path.with_name(self.path.name + ".torn")
        # First a durable copy, then the cut: a crash in between leaves the bytes in both places.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
        copy = os.open(moved_to, flags, _MODE)
        try:
            with os.fdopen(copy, "ab") as file:
                if not stat.S_ISREG(os.fstat(copy).st_mode):
                    raise LedgerRefusedError("a copy of the torn tail", f"{moved_to} is no regular file")
                file.write(content + b"\n")
                file.flush()
                os.fsync(file.fileno())
        finally:
            sync_folder(self.path.parent)
        os.ftruncate(descriptor, whole)
        os.fsync(descriptor)
        return TornTail(content, moved_to)

    def _open(self) -> int:
        if self._descriptor is None:  # pragma: no cover - private methods run on an open file
            raise LedgerRefusedError("the file", "the ledger is closed")
        return self._descriptor


def lock_exclusively(descriptor: int, path: Path, reason: str) -> None:
    """Locks an open file until it is closed, or its process ends.

    Raises:
        LedgerLockedError: somebody else holds the lock, with `reason`; or this platform has none.
    """
    if fcntl is None:  # pragma: no cover - see above
        raise LedgerLockedError(path, "this platform has no flock, so nothing is written here")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LedgerLockedError(path, reason) from None


def sync_folder(folder: Path) -> None:
    """Makes the names of a folder's files durable: a new file, or one that was renamed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _end_of_last_line(descriptor: int, size: int) -> int:
    """Returns where the last complete line ends, 0 if there is none."""
    end = size
    while end > 0:
        start = max(0, end - MAX_LINE_BYTES)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
