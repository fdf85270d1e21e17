"""A number outside, which only grows: what tells a host that was restored to yesterday.

A counter or a ledger on a disk cannot know that the whole disk was taken back, as with a virtual machine or a database
that is restored from a copy. So its host may keep one number where such a restoration does not reach: on another disk,
in another service, in a trusted module. The file is never behind that number, unless it was taken back.
"""

import re
from os import PathLike
from typing import Final, Protocol, Self

from dp.checks import check_count, check_path
from dp.durable import create_file, replace_file, sync_folder
from dp.errors import InvalidParameterError
from dp.ledger.errors import LedgerRefusedError, RolledBackError
from dp.ledger.file import ledger_errors

__all__ = ["FileWitness", "MonotoneWitness", "Witnessed"]

_HIGHEST: Final = 2**64 - 1
_MAX_BYTES: Final = 21
_NUMBER: Final = re.compile(rb"(0|[1-9][0-9]{0,19})\n")


class MonotoneWitness(Protocol):
    """What a host provides: a number for one counter or one ledger file, from 0 on, that outlives a restoration.

    Whatever the two methods raise is raised by the call that needed them, and the round or the record is not
    acknowledged.
    """

    def read(self) -> int:
        """Returns the highest number that `advance` was given, 0 before the first."""

    def advance(self, to: int) -> None:
        """Keeps a number durably; one that is not above the present changes nothing."""


class FileWitness:
    """A witness in a file of its own, which belongs on another disk than what it watches.

    Args:
        path: of the file, which `create` made. One that is not there is refused: a disk that is not mounted must not
            look like a beginning.

    Raises:
        LedgerRefusedError: the file holds no number.
        OSError: it is not there, or cannot be read.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = check_path("path", path)
        self.read()

    @classmethod
    def create(cls, path: str | PathLike[str]) -> Self:
        """Makes a witness at 0.

        Raises:
            FileExistsError: it is there already.
            OSError: the disk refused.
        """
        file = check_path("path", path)
        create_file(file, b"0\n")
        sync_folder(file.parent)
        return cls(file)

    def read(self) -> int:
        """Returns the number."""
        with self._path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        found = _NUMBER.fullmatch(content)
        if found is None:
            raise LedgerRefusedError("a witness", f"{self._path} holds no number")
        return int(found[1])

    def advance(self, to: int) -> None:
        """Writes the number, if it is above the present; it is on the disk when this returns."""
        if check_count("to", to, low=0, high=_HIGHEST) > self.read():
            with ledger_errors():
                replace_file(self._path, [b"%d\n" % to])


class Witnessed:
    """Holds a state on the disk against its witness, if it has one.

    A change is first on the disk and then told to the witness; only then does the call return. So a crash in between
    leaves the witness behind, which is no fault. A state that is behind its witness was taken back.

    Args:
        noun: what errors call the state, such as "counter".
        witness: the host's; None compares nothing.

    Raises:
        InvalidParameterError: it has not the two methods.
    """

    def __init__(self, noun: str, witness: MonotoneWitness | None) -> None:
        for method in ("read", "advance"):
            if witness is not None and not callable(getattr(witness, method, None)):
                raise InvalidParameterError("witness", type(witness).__name__, "one with read() and advance(to)")
        self._noun = noun
        self._witness = witness

    def least(self) -> int:
        """Returns the witness' number. Ask it *before* the state is read: a writer changes the state first."""
        return 0 if self._witness is None else check_count("witness.read()", self._witness.read(), high=_HIGHEST)

    def check(self, found: int, *, least: int) -> None:
        """Refuses a state that is behind what its witness has seen.

        Raises:
            RolledBackError: it is.
        """
        if found < least:
            raise RolledBackError(self._noun, found, least)

    def advance(self, to: int) -> None:
        """Tells the witness of a change that is on the disk."""
        if self._witness is not None:
            self._witness.advance(to)
