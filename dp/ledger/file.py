"""The file under a ledger: lines of records, which `dp.durable` keeps on the disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dp import durable
from dp.durable import AppendFile, TornTail, sync_folder
from dp.errors import FileLockedError, FileRefusedError
from dp.ledger.errors import LedgerLockedError, LedgerRefusedError
from dp.ledger.records import MAX_LINE_BYTES

__all__ = ["LedgerFile", "TornTail", "ledger_errors", "lock_exclusively", "read_lines", "sync_folder"]

_MODE: Final = 0o644
"""A ledger holds no secrets, and auditors read it."""


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


class LedgerFile(AppendFile):
    """A ledger's file, open for writing and locked.

    Args:
        path: of the file.
        create: whether to make it; otherwise it must exist.

    Raises:
        LedgerLockedError: somebody else has it open for writing.
        LedgerRefusedError: it is no regular file, or is to be made and holds a complete line already.
        OSError: it cannot be opened, read or written.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        with ledger_errors():
            super().__init__(path, noun="ledger", longest=MAX_LINE_BYTES, create=create, mode=_MODE)

    def append(self, lines: bytes) -> None:
        """Appends one complete line or several, durably.

        Raises:
            LedgerRefusedError: the file is closed or another process's, an earlier append failed, or it is no longer
                the file that was opened.
            OSError: the disk refused; the file takes no more appends until it is opened anew.
        """
        with ledger_errors():
            super().append(lines)

    def read_from(self, start: int) -> tuple[bytes, ...]:
        """Returns the lines from a place in the file on, with their line feeds.

        Raises:
            LedgerRefusedError: as `append` does.
        """
        with ledger_errors():
            return super().read_from(start)

    def move_aside(self, start: int) -> None:
        """Moves everything from a place on to FILE.torn.

        Raises:
            LedgerRefusedError: as `append` does.
            OSError: the disk refused; the file takes no more appends until it is opened anew.
        """
        with ledger_errors():
            super().move_aside(start)


@contextmanager
def ledger_errors() -> Iterator[None]:
    """Raises what `dp.durable` refuses as an error of the ledger, with the same fields."""
    try:
        yield
    except FileLockedError as error:
        raise LedgerLockedError(error.path, error.reason) from None
    except FileRefusedError as error:
        raise LedgerRefusedError(error.action, error.reason) from None


def lock_exclusively(descriptor: int, path: Path, reason: str) -> None:
    """Locks an open file as `dp.durable.lock_exclusively` does.

    Raises:
        LedgerLockedError: somebody else holds the lock, with `reason`; or this platform has none.
    """
    with ledger_errors():
        durable.lock_exclusively(descriptor, path, reason)
