"""A file of lines that only grows, written by one process alone, and only while it is the file that was opened."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from dp.durable.locks import OwnedFile, check_lockable, lock_exclusively
from dp.durable.turns import Turns
from dp.durable.whole_files import sync_folder
from dp.errors import FileRefusedError

__all__ = ["AppendFile", "TornTail"]

_NO_WAITING: Final = getattr(os, "O_NONBLOCK", 0)
"""A pipe would be waited for, and for ever."""

_FLAGS: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | _NO_WAITING
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)

_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class TornTail:
    """What a crash left at the end of a file, and nobody was told of.

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
    * Before and after each append, the path must lead to the file that was opened, of the size and with the last line
      that it was left with. A file that was removed, replaced, cut or written by somebody else takes no more appends.
    * Calls of several threads take turns. A forked child is refused, and its parent keeps the lock.

    Args:
        path: of the file; the folder that it is in now is meant, wherever the process goes later.
        noun: what errors call it, such as "ledger".
        longest: the most bytes of a line, its line feed included.
        create: whether to make the file; otherwise it must exist.
        mode: the permissions of a new file.

    Raises:
        FileLockedError: somebody has it open for writing, or there are no locks here.
        FileRefusedError: it is no regular file, is to be made and holds a complete line already, or ends with more
            bytes than one torn line can have.
        OSError: it cannot be opened, read or written.
    """

    def __init__(self, path: Path, *, noun: str, longest: int, create: bool = False, mode: int = 0o600) -> None:
        check_lockable(path)
        self.path = path.absolute()
        self._noun = noun
        self._longest = longest
        self._mode = mode
        self._sound = False
        self._turns = Turns(noun)
        flags = os.O_RDWR | os.O_APPEND | _FLAGS | (os.O_CREAT if create else 0)
        self._file = OwnedFile(self.path, flags=flags, mode=mode)
        try:
            descriptor = self._descriptor("opening it")
            lock_exclusively(descriptor, path, f"another writer has the {noun} open")
            self.torn = self._move_torn_tail(descriptor, create)
            # A writer that crashed between write and fsync left a line that is read now and may not be on the disk.
            os.fsync(descriptor)
            self._note_end(descriptor)
            self._sound = True
            self._check_unchanged("opening it", descriptor)
        except BaseException:
            self.close()
            raise
        if create:
            sync_folder(self.path.parent)

    def append(self, lines: bytes) -> None:
        """Appends one complete line or several; they are on the disk when this returns.

        Raises:
            FileRefusedError: the file is closed or another process's, an earlier append failed, or it is no longer the
                file that was opened. Nothing that was written counts.
            OSError: the disk refused; the file takes no more appends until it is opened anew.
        """
        with self._turns.taken("an append"):
            descriptor = self._descriptor("an append")
            self._check_unchanged("an append", descriptor)
            # Whatever interrupts this, from here on nobody knows what is on the disk.
            self._sound = False
            written = os.write(descriptor, lines)
            if written != len(lines):
                raise OSError(f"{self.path}: {written} of {len(lines)} bytes were written")
            os.fsync(descriptor)
            self._size += written
            self._last = lines[-self._longest :]
            self._sound = True
            self._check_unchanged("an append", descriptor)

    def read_from(self, start: int) -> tuple[bytes, ...]:
        """Returns the lines from a place in the file on, with their line feeds.

        Raises:
            FileRefusedError: as `append` does.
        """
        with self._turns.taken("reading"):
            descriptor = self._descriptor("reading")
            self._check_unchanged("reading", descriptor)
            return tuple(self._lines(descriptor, start))

    def move_aside(self, start: int) -> None:
        """Moves everything from a place on to FILE.torn: complete lines that count only with others, which are missing.

        `torn` is then these bytes and what it was before.

        Raises:
            FileRefusedError: as `append` does.
            OSError: the disk refused; the file takes no more appends until it is opened anew.
        """
        with self._turns.taken("moving a torn tail"), self._unsound("moving a torn tail") as descriptor:
            moved = self._cut(descriptor, start)
            self.torn = TornTail(moved.content + (b"" if self.torn is None else self.torn.content), moved.moved_to)
            self._note_end(descriptor)

    def close(self) -> None:
        """Unlocks and closes the file; a second call does nothing, and neither does one in a forked child."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> str | tuple[object, ...]:
        # A copy would have the same descriptor, and its own idea of where the file ends.
        raise FileRefusedError("a copy", f"an open {self._noun} is one file: give its path away, not the object")

    @contextmanager
    def _unsound(self, action: str) -> Iterator[int]:
        """Yields the descriptor; unless all goes well, the file takes no more appends."""
        descriptor = self._descriptor(action)
        self._check_unchanged(action, descriptor)
        self._sound = False
        yield descriptor
        self._sound = True

    def _descriptor(self, action: str) -> int:
        descriptor = self._file.descriptor
        if descriptor is None:
            self._turns.check_process(action)
            raise FileRefusedError(action, f"the {self._noun} is closed")
        return descriptor

    def _check_unchanged(self, action: str, descriptor: int) -> None:
        """Checks that the path still leads to the file that was opened, as it was left."""
        if not self._sound:
            raise FileRefusedError(action, f"an earlier one failed half-way: open the {self._noun} anew")
        difference = self._difference(descriptor)
        if difference is not None:
            self._sound = False
            raise FileRefusedError(action, f"{self.path} {difference}")

    def _difference(self, descriptor: int) -> str | None:
        """Returns what is not as it was left; None if everything is."""
        try:
            there = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return f"is gone: the {self._noun} was removed or renamed"
        here = os.fstat(descriptor)
        if not os.path.samestat(there, here):
            return f"is another file than the {self._noun} that was opened"
        if here.st_size != self._size:
            return f"has {here.st_size} bytes, and was left with {self._size}: somebody else changed it"
        if _read(descriptor, len(self._last), self._size - len(self._last)) != self._last:
            return "does not end as it was left: somebody else changed it"
        return None

    def _note_end(self, descriptor: int) -> None:
        self._size = os.fstat(descriptor).st_size
        length = min(self._size, self._longest)
        self._last = _read(descriptor, length, self._size - length)

    def _lines(self, descriptor: int, start: int) -> Iterator[bytes]:
        rest = b""
        while start < self._size:
            chunk = _read(descriptor, min(_CHUNK, self._size - start), start)
            if not chunk:
                raise FileRefusedError("reading", f"{self.path} became shorter: somebody else changed it")
            start += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line + b"\n" for line in lines)
        if rest:
            yield rest

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
        return self._cut(descriptor, whole)

    def _cut(self, descriptor: int, start: int) -> TornTail:
        """Moves what is at the end to FILE.torn."""
        content = _read(descriptor, os.fstat(descriptor).st_size - start, start)
        moved_to = self.path.with_name(self.path.name + ".torn")
        # First a durable copy, then the cut: a crash in between leaves the bytes in both places.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_FOLLOW | _FLAGS
        copy = os.open(moved_to, flags, self._mode)
        try:
            with os.fdopen(copy, "ab") as file:
                if not stat.S_ISREG(os.fstat(copy).st_mode):
                    raise FileRefusedError("a copy of the torn tail", f"{moved_to} is no regular file")
                file.write(content if content.endswith(b"\n") else content + b"\n")
                file.flush()
                os.fsync(file.fileno())
        finally:
            sync_folder(self.path.parent)
        os.ftruncate(descriptor, start)
        os.fsync(descriptor)
        return TornTail(content, moved_to)

    def _end_of_last_line(self, descriptor: int, size: int) -> int:
        """Returns where the last complete line ends, 0 if there is none."""
        end = size
        while end > 0:
            start = max(0, end - self._longest)
            found = _read(descriptor, end - start, start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
        return 0


def _read(descriptor: int, length: int, start: int) -> bytes:
    """Returns bytes at a place; fewer where the file ends before."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, length, start)
    os.lseek(descriptor, start, os.SEEK_SET)  # pragma: no cover - Windows
    return os.read(descriptor, length)  # pragma: no cover
