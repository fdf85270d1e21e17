"""Files that survive crashes: what was acknowledged is on the disk, and what was not is known to be in doubt.

* `FileLock`: one process at a time. The lock goes with the process.
* `AppendFile`: lines are appended one at a time, and each is synced. What a crash left of a line is moved aside.
* `replace_file`, `create_file`, `write_from`: a file as a whole, a file that must be new, and a known tail of a file.
* `sync_folder`: the names of a folder's files.

This module knows nothing of what the files say. It needs neither numpy nor scipy.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final, Self

from dp.errors import FileLockedError, FileRefusedError

__all__ = [
    "AppendFile",
    "FileLock",
    "TornTail",
    "create_file",
    "lock_exclusively",
    "replace_file",
    "sync_folder",
    "write_from",
]

fcntl: ModuleType | None
try:
    import fcntl
except ModuleNotFoundError:  # pragma: no cover - Windows: files can be read there, and are not written
    fcntl = None

_CLOSE_ON_EXEC: Final = getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True)
class TornTail:
    """The part of a line that a crash left at the end of a file.

    Args:
        content: the bytes.
        moved_to: the file to which they were moved; None where the file was only read.
    """

    content: bytes
    moved_to: Path | None = None


class AppendFile:
    """A file of lines, open for appending and locked for as long as it is open.

    * An append is one write to a file opened with O_APPEND, then fsync; a new file's folder is synced as well.
    * A crash during an append leaves a part of a line at the end, without a line feed. Nobody was told that it was
      written. The next writer moves it to FILE.torn, after anything that is there already.
    * After a failed write or fsync nobody knows what is on the disk, so the file takes no more appends until it is
      opened anew.

    Args:
        path: of the file.
        noun: what errors call it, such as "ledger".
        longest: the most bytes of a line, its line feed included.
        create: whether to make the file; otherwise it must exist.
        mode: the permissions of a new file.

    Raises:
        FileLockedError: another process has it open for writing, or this platform has no locks.
        FileRefusedError: it is no regular file, is to be made and holds a complete line already, or ends with more
            bytes than one torn line can have.
        OSError: it cannot be opened, read or written.
    """

    def __init__(self, path: Path, *, noun: str, longest: int, create: bool = False, mode: int = 0o600) -> None:
        self.path = path
        self._noun = noun
        self._longest = longest
        self._mode = mode
        self._broken = False
        flags = os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | _CLOSE_ON_EXEC | (os.O_CREAT if create else 0)
        descriptor = os.open(path, flags, mode)
        self._descriptor: int | None = descriptor
        try:
            lock_exclusively(descriptor, path, f"another writer has the {noun} open")
            self.torn = self._move_torn_tail(descriptor, create)
            # A writer that crashed between write and fsync left a line that is read now and may not be on the disk.
            os.fsync(descriptor)
        except BaseException:
            self.close()
            raise
        if create:
            sync_folder(path.parent)

    def append(self, lines: bytes) -> None:
        """Appends one complete line or several; they are on the disk when this returns.

        Raises:
            FileRefusedError: the file is closed, or an earlier append failed.
            OSError: the disk refused; the file takes no more appends until it is opened anew.
        """
        if self._descriptor is None:
            raise FileRefusedError("an append", f"the {self._noun} is closed")
        if self._broken:
            raise FileRefusedError("an append", f"an earlier one failed half-way: open the {self._noun} anew")
        self._broken = True
        written = os.write(self._descriptor, lines)
        if written != len(lines):
            raise OSError(f"{self.path}: {written} of {len(lines)} bytes were written")
        os.fsync(self._descriptor)
        self._broken = False

    def read_from(self, start: int) -> tuple[bytes, ...]:
        """Returns the lines from a place in the file on, with their line feeds."""
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

    def _move_torn_tail(self, descriptor: int, create: bool) -> TornTail | None:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileRefusedError(f"a {self._noun}", f"{self.path} is no regular file")
        whole = self._end_of_last_line(descriptor, status.st_size)
        if create and whole > 0:
            raise FileRefusedError(f"a new {self._noun}", f"{self.path} holds one already")
        if whole == status.st_size:
            return None
        if status.st_size - whole > self._longest:
            reason = f"{self.path} ends with far more bytes than one record can leave"
            raise FileRefusedError(f"a {self._noun}", reason)
        content = os.pread(descriptor, status.st_size - whole, whole)
        moved_to = self.path.with_name(self.path.name + ".torn")
        # First a durable copy, then the cut: a crash in between leaves the bytes in both places.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | _CLOSE_ON_EXEC
        copy = os.open(moved_to, flags, self._mode)
        try:
            with os.fdopen(copy, "ab") as file:
                if not stat.S_ISREG(os.fstat(copy).st_mode):
                    raise FileRefusedError("a copy of the torn tail", f"{moved_to} is no regular file")
                file.write(content + b"\n")
                file.flush()
                os.fsync(file.fileno())
        finally:
            sync_folder(self.path.parent)
        os.ftruncate(descriptor, whole)
        os.fsync(descriptor)
        return TornTail(content, moved_to)

    def _end_of_last_line(self, descriptor: int, size: int) -> int:
        """Returns where the last complete line ends, 0 if there is none."""
        end = size
        while end > 0:
            start = max(0, end - self._longest)
            found = os.pread(descriptor, end - start, start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
        return 0


class FileLock:
    """A file that one process at a time holds locked; as a context manager, or until `close`.

    Args:
        path: of the lock's own file, made if it is not there. Not that of a file that is replaced: a lock would stay
            with the old one.
        guarded: what errors name.
        reason: why another process has it, such as "another process is at this run".

    Raises:
        FileLockedError: another process holds it, or this platform has no locks.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, *, guarded: Path, reason: str) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _CLOSE_ON_EXEC, 0o600)
        try:
            lock_exclusively(descriptor, guarded, reason)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor: int | None = descriptor

    def close(self) -> None:
        """Unlocks it; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def lock_exclusively(descriptor: int, path: Path, reason: str) -> None:
    """Locks an open file until it is closed, or its process ends.

    Raises:
        FileLockedError: another process holds the lock, with `reason`; or this platform has none.
    """
    if fcntl is None:  # pragma: no cover - see above
        raise FileLockedError(path, "this platform has no flock, so nothing is written here")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileLockedError(path, reason) from None


def replace_file(path: Path, parts: Iterable[bytes], *, mode: int = 0o600) -> None:
    """Writes a file in place of the one before, as a whole or not at all.

    The new content is complete on the disk, as FILE.new, before it takes the name, and the name before this returns.

    Args:
        path: of the file.
        parts: its content, one after another.
        mode: the permissions of a new file.

    Raises:
        OSError: the disk refused. The file is the old one or the new one.
    """
    fresh = path.with_name(path.name + ".new")
    _write(fresh, os.O_TRUNC, parts, mode)
    fresh.replace(path)
    sync_folder(path.parent)


def create_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Writes a file that must not exist; its content is on the disk when this returns, its name after `sync_folder`.

    Raises:
        FileExistsError: it exists.
        OSError: the disk refused.
    """
    _write(path, os.O_EXCL, (content,), mode)


def write_from(path: Path, start: int, content: bytes) -> None:
    """Writes to an existing file from a place on, and cuts what was there; it is on the disk when this returns.

    Raises:
        OSError: the disk refused. What is before `start` is as it was.
    """
    with path.open("r+b") as file:
        file.truncate(start)
        file.seek(start)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Makes the names of a folder's files durable: a new file, or one that was renamed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, how: int, parts: Iterable[bytes], mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | how | _CLOSE_ON_EXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
