"""Reading a ledger's files, the oldest first: their chain, and then what the records say, up to the first bad one."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from dp.errors import InvalidParameterError
from dp.ledger.chain import Chain, read_chain
from dp.ledger.errors import BadRecordError, Fault, LedgerRefusedError
from dp.ledger.file import read_lines
from dp.ledger.records import NO_HEAD, Central, Reserve
from dp.ledger.state import LedgerState

__all__ = ["Place", "Reading", "read_ledger"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record is: the file, counted from 0, and the number of its line, from 1."""

    file: int
    record: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read.

    Args:
        chains: of the files, up to the first that has a fault.
        state: what the records say; None if not even the first header is sound.
        places: of `state.releases`.
        faults: what is wrong, in the order of the records: at most a figure, and then a record that is not as it was
            written. All that is in `state` comes before the first.
    """

    chains: tuple[Chain, ...]
    state: LedgerState | None
    places: tuple[Place, ...]
    faults: tuple[BadRecordError, ...]

    def sound(self) -> LedgerState:
        """Returns the state.

        Raises:
            BadRecordError: there is a fault.
        """
        if self.faults or self.state is None:
            raise self.faults[0]
        return self.state


def read_ledger(paths: Sequence[str | PathLike[str]]) -> Reading:
    """Reads a ledger.

    Args:
        paths: its files, the oldest first.

    Raises:
        InvalidParameterError: there is no path.
        LedgerRefusedError: the first file continues another one, without which nothing can be added up.
        OSError: a file cannot be read.
    """
    if not paths:
        raise InvalidParameterError("paths", (), "at least one")
    chains: list[Chain] = []
    places: list[Place] = []
    faults: list[BadRecordError] = []
    state: LedgerState | None = None
    for file, path in enumerate(paths):
        chain = read_chain(read_lines(Path(path)))
        chains.append(chain)
        misplaced = _misplaced(chain, chains[-2].head if file else None, path)
        if misplaced is not None:
            faults.append(misplaced)
            break
        if chain.header is not None:
            known = 0 if state is not None else 1
            state = LedgerState(chain.header) if state is None else state
            wrong = _replay(chain, known, state, file, places)
            faults += [] if wrong is None else [wrong]
        if chain.fault is not None:
            faults.append(chain.fault)
        if faults:
            break
    return Reading(chains=tuple(chains), state=state, places=tuple(places), faults=tuple(faults))


def _misplaced(chain: Chain, head: bytes | None, path: str | PathLike[str]) -> BadRecordError | None:
    """Returns what is wrong with the place of a file after others, where `head` is that of the one before."""
    if chain.header is None or chain.continues == (NO_HEAD if head is None else head):
        return None
    if head is None:
        reason = f"{path} continues the file that ends with head {chain.continues.hex()}: give that one too, first"
        raise LedgerRefusedError("a ledger without its beginning", reason)
    return BadRecordError(1, Fault.CHAIN, f"it does not continue the file before, whose head is {head.hex()}")


def _replay(chain: Chain, known: int, state: LedgerState, file: int, places: list[Place]) -> BadRecordError | None:
    """Takes the records after the first `known` into account; returns what is wrong with the first wrong one."""
    state.prepare(chain.records)
    for number, record in enumerate(chain.records[known:], known + 1):
        try:
            state.replay(record, number)
        except BadRecordError as error:
            return error
        if isinstance(record, Reserve | Central):
            places.append(Place(file, number))
    return None
