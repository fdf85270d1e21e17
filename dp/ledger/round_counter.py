"""A client's own memory of the rounds it took part in, which no server can talk it out of.

A promise for R rounds is broken by a server that runs R + 1, runs one twice, or begins a fresh ledger in which the
client's earlier rounds never happened. So each client remembers, on its own disk, the last round it accepted and the
head of the ledger as it was then. A server that wants it in a further round shows the lines that the ledger got since:
they have to be one chain, from the head that the client remembers, and to agree with what the client knows.

1. `RoundCounter.accept`, when a round begins: the round is counted *before* the client sends anything.
2. `RoundCounter.witness`, before the client helps to unmask: the ledger holds the round's `reserve`, so the round
   counts against the budget whatever the server does next.

Security:
    The counter shows that the ledger only grew and has this client's rounds in it. That its figures are right is shown
    by an audit; that all clients are shown the same ledger, by comparing heads.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from typing import Final

from dp.checks import check_count, check_path, check_sequence
from dp.durable import FileLock, Turns, check_lockable, replace_file
from dp.errors import InvalidParameterError
from dp.exact_json import SHA256_BYTES, Bytes, Codec, Integer, Optional, Text
from dp.ledger.errors import BadRecordError, LedgerRefusedError, RoundRefusedError
from dp.ledger.file import ledger_errors
from dp.ledger.records import NO_HEAD, Close, Header, Record, Reserve, decode, line_hash
from dp.ledger.witnesses import MonotoneWitness, Witnessed

__all__ = ["RoundCounter"]

_VERSION: Final = 1
_MODE: Final = 0o666
"""Less what the user's mask takes away: a count is no secret."""

_MAX_ROUNDS: Final = 2**62
_LINES: Final = "a sequence of lines, each of them bytes"

_HASH: Final = Bytes(SHA256_BYTES, SHA256_BYTES)
_FIELDS: Final[dict[str, Codec]] = {
    "version": Integer(_VERSION, _VERSION),
    "scope": Text(),
    "rounds": Integer(1, _MAX_ROUNDS),
    "last_round": Integer(0, _MAX_ROUNDS),
    "witnessed": Integer(0, _MAX_ROUNDS),
    "head": Optional(_HASH),
    "closed": Integer(0, 1),
}


@dataclass(frozen=True, slots=True)
class _Memory:
    last_round: int = 0
    witnessed: int = 0
    head: bytes | None = None
    closed: bool = False
    """Whether the last line that was seen ends its file, so that a header may follow."""

    @property
    def step(self) -> int:
        """Grows with every change: what a witness outside is told."""
        return 2 * self.last_round + (self.witnessed == self.last_round > 0)


class RoundCounter:
    """Counts one client's rounds of one budget, durably.

    Args:
        path: of the counter's own file; it is made by the first round. Losing it loses the count, so it belongs where
            the client's other lasting state is.
        scope: the budget's name, as the client knows it; not from the server.
        rounds: R, how many rounds the plan has that the client agreed to.
        witness: a number outside of this host that only grows, for this counter alone. With it a counter that was
            restored from an older copy, or lost, is refused whenever it is opened or used. None: that is not noticed,
            and the client can be made to join a round twice.

    Raises:
        InvalidParameterError: an argument is out of its range.
        RolledBackError: the counter is behind its witness.
        LedgerRefusedError: the file is no counter, or one of another scope or plan.
        LedgerLockedError: this system has no locks.
        OSError: the file cannot be read.

    Guarantees:
        When `accept` or `witness` returns, what it accepted is on the disk, and its witness was told. When it refuses,
        the file is as it was. After an `OSError`, an error of the witness or an interruption the round may be counted
        already, and is then refused the next time; the file is whole in any case.

        Calls of several threads and processes take turns or are refused; a forked child is refused.
    """

    def __init__(
        self, path: str | PathLike[str], scope: str, rounds: int, *, witness: MonotoneWitness | None = None
    ) -> None:
        self._path = check_path("path", path)
        # A system without locks is refused here, not in the middle of a first round.
        with ledger_errors():
            check_lockable(self._path)
        self._turns = Turns("counter")
        self._scope = Text().decode("scope", scope)
        self._rounds = check_count("rounds", rounds, low=1, high=_MAX_ROUNDS)
        self._witnessed = Witnessed("counter", witness)
        self._load()

    @property
    def last_round(self) -> int:
        """The number of the last round that was accepted, 0 before the first."""
        return self._load().last_round

    @property
    def head(self) -> bytes | None:
        """The last head that was seen, None before the first round: the anchor for an audit of the server's ledger."""
        return self._load().head

    def accept(self, round_number: int, lines: Sequence[bytes], *, scope: str | None = None) -> bytes:
        """Counts a round, if the server may run it.

        Args:
            round_number: the round on offer, from 1.
            lines: those that the ledger got since this client's `head`, in order, with their line feeds; from the
                header on if it has none yet. No line at all is in order if nothing was added.
            scope: the budget that the server names for the round, if it does; the header's is checked anyway.

        Returns:
            The ledger's head after these lines; the server's session context must name the same.

        Raises:
            RoundRefusedError: the round is beyond the plan, repeated or smaller than the last; the scope is another;
                or the lines do not extend what this client has seen, or hold this or a later round already.
            RolledBackError: the counter is behind its witness.
            LedgerLockedError: another process of this client is at it.
            OSError: the disk refused.
        """
        round_number = check_count("round_number", round_number, low=1, high=_MAX_ROUNDS)
        if scope is not None:
            scope = Text().decode("scope", scope)
        with self._exclusively() as memory:
            if scope is not None and scope != self._scope:
                raise RoundRefusedError("scope", scope, self._scope)
            if round_number > self._rounds:
                raise RoundRefusedError("rounds", round_number, f"at most {self._rounds}, as the plan says")
            if round_number <= memory.last_round:
                raise RoundRefusedError("round", round_number, f"above {memory.last_round}, the last one")
            head, records = self._extended(memory, lines)
            for record in records:
                if isinstance(record, Reserve) and record.round >= round_number:
                    raise RoundRefusedError(
                        "round", round_number, f"above {record.round}, which the ledger has already"
                    )
            self._save(_Memory(round_number, memory.witnessed, head, _ends_file(memory, records)))
            return head

    def witness(self, lines: Sequence[bytes], *, context: bytes | None = None) -> Reserve:
        """Sees that the ledger holds the reserve of the accepted round; to be called before helping to unmask.

        Args:
            lines: those that the ledger got since `accept`.
            context: the hash of the task as this client computed it; the reserve must name the same.

        Returns:
            The reserve, for the client to compare with the plan that it agreed to.

        Raises:
            RoundRefusedError: the lines do not extend what this client has seen; they hold no reserve of the round, or
                one with another context; or the round was witnessed already, or none was accepted.
            RolledBackError: the counter is behind its witness.
            LedgerLockedError: another process of this client is at it.
            OSError: the disk refused.
        """
        if context is not None and not isinstance(context, bytes):
            raise InvalidParameterError("context", context, "the hash of a task, in bytes")
        with self._exclusively() as memory:
            if memory.last_round == memory.witnessed:
                raise RoundRefusedError("reserve", "a round", "one that was accepted, and witnessed once")
            head, records = self._extended(memory, lines)
            found = [record for record in records if isinstance(record, Reserve) and record.round == memory.last_round]
            if not found:
                raise RoundRefusedError("reserve", f"{len(lines)} lines", f"a reserve of round {memory.last_round}")
            if context is not None and found[0].context != context:
                raise RoundRefusedError("reserve", f"context {found[0].context.hex()}", f"context {context.hex()}")
            self._save(_Memory(memory.last_round, memory.last_round, head, _ends_file(memory, records)))
            return found[0]

    def _extended(self, memory: _Memory, lines: Sequence[bytes]) -> tuple[bytes, list[Record]]:
        """Returns the head after the lines, and their records, if they are one chain from the head that is known."""
        head = memory.head
        records: list[Record] = []
        last_round = 0
        if not all(isinstance(line, bytes) for line in check_sequence("lines", lines, allowed=_LINES)):
            raise InvalidParameterError("lines", type(lines).__name__, _LINES)
        if head is None and not lines:
            raise RoundRefusedError("extension", "no line", "the ledger from its header on")
        for place, line in enumerate(lines, 1):
            try:
                record, previous = decode(line, place)
            except BadRecordError as error:
                raise RoundRefusedError("extension", str(error), "canonical records") from None
            if head is None:
                if not isinstance(record, Header):
                    raise RoundRefusedError("extension", f"line {place}, no header", "the ledger from its header on")
            elif previous != head:
                offered = f"line {place}, which follows {previous.hex()}"
                raise RoundRefusedError("extension", offered, f"a line that follows {head.hex()}")
            if isinstance(record, Header) and record.scope != self._scope:
                raise RoundRefusedError("scope", record.scope, self._scope)
            if isinstance(record, Header) and head is not None and not _ends_file(memory, records):
                raise RoundRefusedError("extension", f"line {place}, another header", "one after a close only")
            if isinstance(record, Reserve):
                if record.round <= last_round:
                    raise RoundRefusedError("extension", f"line {place}, round {record.round}", f"above {last_round}")
                last_round = record.round
            head = line_hash(line)
            records.append(record)
        return (NO_HEAD if head is None else head), records

    # --- The file: one canonical JSON object, replaced as a whole ---

    @contextmanager
    def _exclusively(self) -> Iterator[_Memory]:
        """Yields what is on the disk, while no other process of this client reads or writes it."""
        lock = self._path.with_name(self._path.name + ".lock")
        with ledger_errors(), self._turns.taken("counting a round"):
            held = FileLock(lock, guarded=self._path, reason="another process counts a round with it")
            with held:
                yield self._load()

    def _load(self) -> _Memory:
        """Returns what is on the disk, if that is not behind the witness."""
        least = self._witnessed.least()
        memory = self._read()
        self._witnessed.check(memory.step, least=least)
        return memory

    def _read(self) -> _Memory:
        if self._path.exists() and not self._path.is_file():
            raise LedgerRefusedError("a counter", f"{self._path} is no regular file")
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return _Memory()
        try:
            raw = json.loads(content)
            if not isinstance(raw, dict) or raw.keys() != _FIELDS.keys():
                raise LedgerRefusedError("a counter", f"{self._path} has other fields than a counter")
            fields = {name: codec.decode(name, raw[name]) for name, codec in _FIELDS.items()}
        except (ValueError, RecursionError) as error:
            raise LedgerRefusedError("a counter", f"{self._path} is damaged: {error}") from None
        for name, expected in (("scope", self._scope), ("rounds", self._rounds)):
            if fields[name] != expected:
                reason = f"{self._path} counts for {name} {fields[name]!r}, not {expected!r}"
                raise LedgerRefusedError("a counter", reason)
        if fields["witnessed"] > fields["last_round"]:
            raise LedgerRefusedError(
                "a counter", f"{self._path} is damaged: it witnessed a round that it never accepted"
            )
        return _Memory(fields["last_round"], fields["witnessed"], fields["head"], fields["closed"] == 1)

    def _save(self, memory: _Memory) -> None:
        fields = {
            "version": _VERSION,
            "scope": self._scope,
            "rounds": self._rounds,
            "last_round": memory.last_round,
            "witnessed": memory.witnessed,
            "head": memory.head,
            "closed": int(memory.closed),
        }
        raw = {name: codec.encode(name, fields[name]) for name, codec in _FIELDS.items()}
        replace_file(self._path, [json.dumps(raw, sort_keys=True).encode("ascii") + b"\n"], mode=_MODE)
        self._witnessed.advance(memory.step)


def _ends_file(memory: _Memory, records: Sequence[Record]) -> bool:
    """Returns whether the last record that is known ends its file."""
    return isinstance(records[-1], Close) if records else memory.closed
