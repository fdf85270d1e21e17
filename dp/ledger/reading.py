"""Reading a ledger's files, the oldest first, into records: the first step of an audit.

Every record that comes out is as it was written, as far as the chain and its signatures show; what the records say is
not looked at here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from dp.checks import check_paths
from dp.errors import InvalidParameterError
from dp.ledger.chain import Chain, read_chain
from dp.ledger.errors import BadRecordError, Fault, LedgerRefusedError
from dp.ledger.file import read_lines
from dp.ledger.records import NO_HEAD, Record
from dp.ledger.time_limit import TimeLimit

__all__ = ["Reading", "read_ledger"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read.

    Args:
        chains: of the files, up to the first that has a fault.
        records: of these files, up to the fault.
        fault: what is wrong with the last of these files; None if nothing is.
        unread: why the file after these cannot be read; None if there is none, or it was not tried. To be raised where
            the records before it have no fault: a fault that they have is told even if later files are lost.
    """

    chains: tuple[Chain, ...]
    records: tuple[Record, ...]
    fault: BadRecordError | None
    unread: OSError | None


def read_ledger(
    paths: Sequence[str | PathLike[str]], *, last: Iterable[bytes] | None = None, limit: TimeLimit | None = None
) -> Reading:
    """Reads a ledger.

    Args:
        paths: its files, the oldest first.
        last: the lines of the last of them, where it is open already; None to open it by its path.
        limit: of the time that it may take; None for no limit.

    Raises:
        InvalidParameterError: there is no path.
        LedgerRefusedError: the first file continues another one, without which nothing can be added up.
        AuditTimeError: it took longer than it may.
    """
    paths = check_paths("paths", paths)
    if not paths:
        raise InvalidParameterError("paths", (), "at least one")
    chains: list[Chain] = []
    records: list[Record] = []
    fault: BadRecordError | None = None
    unread: OSError | None = None
    for file, path in enumerate(paths):
        head = chains[-1].head if chains else NO_HEAD
        try:
            ready = last if file == len(paths) - 1 else None
            lines = read_lines(Path(path)) if ready is None else ready
            chain = read_chain((limit or TimeLimit()).watch(lines, "reading records"))
        except OSError as error:
            unread = error
            break
        chains.append(chain)
        fault = chain.fault
        if chain.header is not None and chain.continues != head:
            if not file:
                reason = f"{path} continues the file that ends with head {chain.continues.hex()}: give that one too"
                raise LedgerRefusedError("a ledger without its beginning", f"{reason}, first")
            fault = BadRecordError(1, Fault.CHAIN, f"it does not continue the file before, whose head is {head.hex()}")
        else:
            records += chain.records
        if fault is not None:
            break
    return Reading(chains=tuple(chains), records=tuple(records), fault=fault, unread=unread)
