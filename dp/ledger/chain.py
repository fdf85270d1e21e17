"""Reading a ledger's file: are these the bytes that were written, in the order in which they were written?

What the records say is not looked at here, only that each is canonical, that each holds the hash of the one before, and
that signatures verify.

Guarantees:
    In a chain with signed heads whose key is known from elsewhere, every change of a byte, and every record added,
    removed, repeated or moved, up to and including the last signed head, is found. What comes after that head can be
    rewritten by anybody, and whole records at the end can be removed, the last signed heads included: only an anchor
    (a head that somebody else holds) finds that. Without signatures the same goes for all records: the chain finds
    accidents, and shows that a file extends a known head, but an attacker who rewrites a file rewrites its hashes too.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from dp.ledger.errors import BadRecordError, Fault
from dp.ledger.records import NO_HEAD, Close, Head, Header, Record, decode, line_hash
from dp.ledger.signing import HeadVerifier

__all__ = ["Chain", "read_chain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What was read of a file, up to the first bad record or the end.

    Args:
        records: in their order; the first is the header.
        heads: the hash of nothing, and of each of them.
        ends: where each of them ends in the file, in bytes, after a 0.
        continues: the head of the file that this one continues, `NO_HEAD` if it is the first.
        signed: the number of the last record that holds a valid signature, 0 if none does.
        fault: what is wrong with the record after these; None if nothing is.
        torn: the bytes after the last complete line.
    """

    records: tuple[Record, ...]
    heads: tuple[bytes, ...]
    ends: tuple[int, ...]
    continues: bytes
    signed: int
    fault: BadRecordError | None
    torn: bytes

    @property
    def header(self) -> Header | None:
        """The first record; None if that is the bad one."""
        first = self.records[0] if self.records else None
        return first if isinstance(first, Header) else None

    @property
    def head(self) -> bytes:
        """The hash of the last record, `NO_HEAD` if there is none."""
        return self.heads[-1]

    @property
    def closed(self) -> bool:
        """Whether the last record is a `close`."""
        return bool(self.records) and isinstance(self.records[-1], Close)


class _Reader:
    """Takes complete lines one at a time, and raises at the first that does not fit those before."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.heads = [NO_HEAD]
        self.ends = [0]
        self.continues = NO_HEAD
        self.signed = 0
        self._verifier: HeadVerifier | None = None

    def read(self, line: bytes) -> None:
        number = len(self.records) + 1
        record, previous = decode(line, number)
        if number == 1:
            if not isinstance(record, Header):
                raise BadRecordError(1, Fault.CHAIN, "a ledger begins with its header")
            self.continues = previous
            self._verifier = HeadVerifier(record.key, 1) if record.key is not None else None
        elif previous != self.heads[-1]:
            raise _LinkError(number, Fault.CHAIN, f"it does not hold the hash of record {number - 1}")
        else:
            self._check_place(record, number)
        self.records += [record]
        self.heads += [line_hash(line)]
        self.ends += [self.ends[-1] + len(line)]

    def _check_place(self, record: Record, number: int) -> None:
        if isinstance(record, Header):
            raise BadRecordError(number, Fault.CHAIN, "a header after the first record")
        if isinstance(self.records[-1], Close):
            raise BadRecordError(number, Fault.CHAIN, "a record after the one that closed the ledger")
        if not isinstance(record, Head | Close):
            return
        if self._verifier is None:
            if record.signature is not None:
                raise BadRecordError(number, Fault.SIGNATURE, "a signature, and the header has no key for it")
        elif record.signature is None:
            raise BadRecordError(number, Fault.SIGNATURE, "no signature, and the header has a key")
        else:
            self._verifier.check(
                self.heads[-1], signature=record.signature, record=number, closing=isinstance(record, Close)
            )
            self.signed = number

    def blame(self, error: "_LinkError", line: bytes, follower: bytes) -> BadRecordError:
        """Decides which of two records is the bad one, where the later does not hold the hash of the earlier.

        If a further record holds the hash of the later one, that is as it was written, and the earlier one is not. The
        same is assumed where there is no further record: a hash is a small part of a record.
        """
        number = error.record
        if follower.endswith(b"\n"):
            try:
                intact = decode(follower, number + 1)[1] == line_hash(line)
            except BadRecordError:
                intact = False
            if not intact:
                return BadRecordError(number, Fault.CHAIN, error.detail)
        self.records.pop()
        self.heads.pop()
        self.ends.pop()
        signatures = (place for place, record in enumerate(self.records, 1) if isinstance(record, Head))
        self.signed = max(signatures, default=0)
        detail = f"it is not the one that record {number} follows: it was changed, or what came after it was removed"
        return BadRecordError(number - 1, Fault.CHAIN, detail)


class _LinkError(BadRecordError):
    """A record holds another hash than that of the record before."""


def read_chain(lines: Iterable[bytes]) -> Chain:
    """Reads a file's lines and verifies that they are one chain.

    Args:
        lines: with their line feeds; the last one may lack it.

    Returns:
        The records up to the first bad one.
    """
    reader, torn, fault = _Reader(), b"", None
    source = iter(lines)
    for line in source:
        if not line.endswith(b"\n"):
            torn = line
            # More after it: this was no tail, but a line too long for a record.
            if next(source, None) is not None:
                fault = BadRecordError(len(reader.records) + 1, Fault.CANONICAL_FORM, "it is too long for a record")
            break
        try:
            reader.read(line)
        except _LinkError as error:
            fault = reader.blame(error, line, next(source, b""))
            break
        except BadRecordError as error:
            fault = error
            break
    if fault is None and not reader.records:
        fault = BadRecordError(1, Fault.FIELDS, "there is no complete record")
    return Chain(
        records=tuple(reader.records),
        heads=tuple(reader.heads),
        ends=tuple(reader.ends),
        continues=reader.continues,
        signed=reader.signed,
        fault=fault,
        torn=torn,
    )
