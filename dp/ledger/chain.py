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
from typing import Final

from dp.ledger.errors import BadRecordError, Fault
from dp.ledger.records import (
    NO_HEAD,
    SCHEMA_VERSION,
    Close,
    Head,
    Header,
    Record,
    decode,
    following,
    line_hash,
    schema_needed,
    schema_of,
)
from dp.ledger.signing import HeadVerifier

__all__ = ["Chain", "read_chain"]

_PARTS_OF_A_HEADER: Final = (b'"kind":"header"', b'"previous":"')
"""What no change of one byte takes away together: a file without them was never a ledger."""


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
        torn: the bytes after the last record that counts: a part of a line, and before it the records of a call whose
            last one is missing.
        schema: the schema version of the file, as its header says.
    """

    records: tuple[Record, ...]
    heads: tuple[bytes, ...]
    ends: tuple[int, ...]
    continues: bytes
    signed: int
    fault: BadRecordError | None
    torn: bytes
    schema: int

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
        self.schema = SCHEMA_VERSION
        self.open_call: list[bytes] = []
        """The lines of a call that the last record is of, and that goes on."""
        self._verifier: HeadVerifier | None = None

    def read(self, line: bytes) -> None:
        number = len(self.records) + 1
        foreign = _not_a_ledger(line) if number == 1 else None
        if foreign is not None:
            raise foreign
        record, previous = decode(line, number)
        if number == 1:
            if not isinstance(record, Header):
                raise BadRecordError(1, Fault.CHAIN, "a ledger begins with its header")
            self.continues = previous
            self.schema = schema_of(line)
            self._verifier = HeadVerifier(record.key, 1) if record.key is not None else None
        elif previous != self.heads[-1]:
            raise _LinkError(number, Fault.CHAIN, f"it does not hold the hash of record {number - 1}")
        else:
            self._check_place(record, number)
        if schema_needed(record) > self.schema:
            detail = f"a file of schema version {self.schema} has no such record"
            raise BadRecordError(number, Fault.FIELDS, detail)
        if following(record):
            self.open_call.append(line)
        else:
            self.open_call.clear()
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

    def drop_open_call(self) -> bytes:
        """Takes back the records of a call that is not complete, and returns their lines: nobody was told of them."""
        lines = b"".join(self.open_call)
        for written in (self.records, self.heads, self.ends):
            del written[len(written) - len(self.open_call) :]
        self.open_call.clear()
        return lines

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


def _not_a_ledger(line: bytes) -> BadRecordError | None:
    """Returns what is wrong with a first line that was never one of a ledger."""
    if any(part in line for part in _PARTS_OF_A_HEADER):
        return None
    return BadRecordError(1, Fault.NOT_A_LEDGER, "the first line has nothing of a ledger's header")


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
                number = len(reader.records) + 1
                fault = _not_a_ledger(line) if number == 1 else None
                fault = fault or BadRecordError(number, Fault.CANONICAL_FORM, "it is too long for a record")
            break
        try:
            reader.read(line)
        except _LinkError as error:
            fault = reader.blame(error, line, next(source, b""))
            break
        except BadRecordError as error:
            fault = error
            break
    if fault is None:
        torn = reader.drop_open_call() + torn
    if fault is None and not reader.records:
        fault = BadRecordError(1, Fault.NOT_A_LEDGER, "there is no complete record")
    return Chain(
        records=tuple(reader.records),
        heads=tuple(reader.heads),
        ends=tuple(reader.ends),
        continues=reader.continues,
        signed=reader.signed,
        fault=fault,
        torn=torn,
        schema=reader.schema,
    )
