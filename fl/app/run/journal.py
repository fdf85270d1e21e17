"""The journal of a run: one line before a round begins, on the disk before any client hears of it, and one after.

The journal decides which round comes next. Rounds are 1, 2, 3, … without a gap. Each is begun once, and is done before
the next one begins; it is marked lost if a crash took its result. So a reader sees all that happened, and a run that is
resumed never begins a round a second time.

JSON lines, in a strict form. A crash can leave a part of a line at the end, which nobody relied on; the next line takes
its place. Any other damage is refused.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from dp.durable import Turns, create_file, write_from
from secagg import InvalidStateError

__all__ = ["Begun", "Done", "Journal", "JournalLine", "RoundOutcome", "RoundRecord", "Started"]

RoundOutcome: TypeAlias = Literal["released", "too few clients", "no mean", "lost"]
"""What came of a round: a step of the model; no sum, as too few clients were left; a sum without a mean, as the noise
outweighs the weights; or a result that a crash took. All count."""

_VERSION: Final = 2
_MODE: Final = 0o644


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="event"):
    at: str


class Started(_Line, frozen=True, tag="run"):
    """The first line.

    Attributes:
        version: of the journal.
        run: 32 hexadecimal digits, drawn when the run began.
        plan: the plan's digest, in hexadecimal.
        clients: the ids of all clients.
        at: when, in UTC.
    """

    version: int
    run: str
    plan: str
    clients: tuple[int, ...]


class Begun(_Line, frozen=True, tag="begun"):
    """A round is about to begin.

    Attributes:
        round: its number.
        at: when, in UTC.
    """

    round: int


class RoundRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a round when it is over.

    Attributes:
        round: its number.
        outcome: what came of it.
        detail: more about it, in words; empty where there is no more.
        invited: how many clients were invited.
        survivors: how many are in the sum; None if there is none.
        clip: the round's clip norm.
        clipped: the part of the survivors whose update was clipped; None in a run with noise, where it would be told
            without any, and where there is no sum.
        side_values: the sums of the side values, by name: noisy in a run with noise, exact in a plain one.
        epsilon: spent by then, of the whole ledger; None in a plain run.
        bytes_up: sent by a client, on average; None if there is no sum.
        bytes_down: received by a client, on average, the model aside; None if there is no sum.
        protocol_s: seconds in the protocol, all clients and the server.
    """

    round: int
    outcome: RoundOutcome
    detail: str = ""
    invited: int
    survivors: int | None = None
    clip: float
    clipped: float | None = None
    side_values: dict[str, float] = msgspec.field(default_factory=dict)
    epsilon: float | None = None
    bytes_up: float | None = None
    bytes_down: float | None = None
    protocol_s: float = 0.0


class Done(_Line, frozen=True, tag="done"):
    """A round is over, and in the checkpoint.

    Attributes:
        record: what is known of it.
        metrics: the study's own figures of the model after it.
        at: when, in UTC.
    """

    record: RoundRecord
    metrics: dict[str, float | None]


JournalLine: TypeAlias = Started | Begun | Done

_decoder = msgspec.json.Decoder(JournalLine)


@dataclass(frozen=True, slots=True)
class _Content:
    started: Started
    done: tuple[Done, ...]
    begun: int
    end: int


class Journal:
    """The journal's file.

    Calls of several threads take turns; a forked child is refused (`FileRefusedError`). A call that was interrupted can
    be repeated: its line is in the file once.

    Args:
        path: of the file.

    Raises:
        InvalidStateError: it is damaged.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turns = Turns("journal")
        # What is known of the file, replaced as a whole: a line that was interrupted is written again in its place.
        self._content = _read(path)

    @classmethod
    def create(cls, path: Path, run: bytes, *, plan_digest: bytes, clients: tuple[int, ...]) -> None:
        """Writes the journal of a new run.

        Args:
            path: of the file, which must not exist.
            run: 16 bytes, fresh.
            plan_digest: of the plan.
            clients: the ids.

        Raises:
            OSError: it cannot be written.
        """
        line = Started(version=_VERSION, run=run.hex(), plan=plan_digest.hex(), clients=clients, at=_now())
        create_file(path, msgspec.json.encode(line) + b"\n", mode=_MODE)

    @property
    def started(self) -> Started:
        """The first line."""
        return self._content.started

    @property
    def begun(self) -> int:
        """The last round that was begun, 0 before the first."""
        return self._content.begun

    @property
    def finished(self) -> int:
        """The last round that is over: `begun`, or the one before."""
        return len(self._content.done)

    @property
    def done(self) -> tuple[Done, ...]:
        """All rounds that are over, in order."""
        return self._content.done

    def begin(self, round_number: int) -> None:
        """Says that a round begins; on the disk when this returns.

        Raises:
            InvalidStateError: it is not the next one, or the one before is not over.
            OSError: the disk refused; whether the round counts as begun shows when the journal is read again.
        """
        with self._turns.taken("beginning a round"):
            known = self._content
            if known.begun != len(known.done) or round_number != known.begun + 1:
                raise InvalidStateError(f"{self._path}: round {round_number} does not follow round {known.begun}")
            end = self._written(Begun(round=round_number, at=_now()))
            self._content = replace(known, begun=round_number, end=end)

    def finish(self, record: RoundRecord, metrics: dict[str, float | None]) -> Done:
        """Says that the round that was begun is over, and in the checkpoint.

        Raises:
            InvalidStateError: it is not the round that was begun.
            OSError: the disk refused.
        """
        with self._turns.taken("finishing a round"):
            known = self._content
            if record.round != known.begun or record.round != len(known.done) + 1:
                raise InvalidStateError(f"{self._path}: round {record.round} is not the one that was begun")
            done = Done(record=record, metrics=metrics, at=_now())
            end = self._written(done)
            self._content = replace(known, done=(*known.done, done), end=end)
            return done

    def _written(self, line: Begun | Done) -> int:
        """Writes a line in place of what a crash or an interruption left of one; returns where it ends."""
        data = msgspec.json.encode(line) + b"\n"
        write_from(self._path, self._content.end, data)
        return self._content.end + len(data)


def _read(path: Path) -> _Content:
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    started: Started | None = None
    done: list[Done] = []
    begun = 0
    for number, text in enumerate(data[:end].splitlines(keepends=True), 1):
        try:
            line = _decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _damaged(path, number, "is damaged") from None
        if msgspec.json.encode(line) + b"\n" != text:
            raise _damaged(path, number, "is not in the form that it was written in")
        match line:
            case Started() if started is None and number == 1 and line.version == _VERSION:
                started = line
            case Begun(round=following) if started is not None and following == begun + 1 == len(done) + 1:
                begun = following
            case Done(record=record) if started is not None and record.round == begun == len(done) + 1:
                done.append(line)
            case _:
                raise _damaged(path, number, "does not follow the one before, or is of another version")
    if started is None:
        raise InvalidStateError(f"{path}: it has no first line")
    return _Content(started, tuple(done), begun, end)


def _damaged(path: Path, number: int, what: str) -> InvalidStateError:
    return InvalidStateError(f"{path}: line {number} {what}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
