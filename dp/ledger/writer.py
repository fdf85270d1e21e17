"""The privacy ledger: what was spent on one budget, in a file from which anybody can recompute it.

A server writes two records a round. `Ledger.reserve` comes *before* it asks for unmasking: from then on the round
counts with the noise of the fewest survivors that it can be released with, whether it is released or not.
`Ledger.settle` says afterwards how many there were. A release that would exceed the budget is refused, and leaves
nothing in the file.

`dp.ledger.records` has the records, `dp.ledger.chain` what the chain of hashes can and cannot show, `dp.ledger.file`
what happens in a crash, and `dp.ledger.audit` the same checks and sums from outside.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import wraps
from os import PathLike
from typing import Concatenate, ParamSpec, Self, TypeVar

from dp.checks import check_count, check_path, check_paths, float_below
from dp.durable import Turns
from dp.errors import InvalidParameterError
from dp.events import Event
from dp.ledger.appender import Appender
from dp.ledger.central import centrals_of
from dp.ledger.chain import Chain
from dp.ledger.epsilon import EpsilonTable
from dp.ledger.errors import BadRecordError, Fault, LedgerRefusedError
from dp.ledger.file import LedgerFile, TornTail, ledger_errors
from dp.ledger.participation import MemberList
from dp.ledger.reading import Reading, read_ledger
from dp.ledger.records import NO_HEAD, Close, Head, Header, ReleaseRecord, Reserve, Settle, Sum, encode
from dp.ledger.signing import LedgerKey
from dp.ledger.state import LedgerState, replay
from dp.ledger.witnesses import MonotoneWitness, Witnessed
from dp.vocabulary import SampleKnownTo

__all__ = ["Ledger"]

_PathLike = str | PathLike[str]


Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


def _in_turn(
    method: Callable[Concatenate["Ledger", Arguments], Result],
) -> Callable[Concatenate["Ledger", Arguments], Result]:
    """Makes the calls of one ledger take turns: the check of a budget and its record are one step."""

    @wraps(method)
    def taken(ledger: "Ledger", /, *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        with ledger_errors(), ledger._turns.taken("a call"):
            return method(ledger, *arguments, **named)

    return taken


class Ledger:
    """A ledger that is open for writing; made by `create` or `open`, used as a context manager or closed by `close`.

    Guarantees:
        When a method that writes returns, its records are on the disk. When it raises, nothing was written; or, after
        an `OSError` or an interruption, perhaps something was, and the ledger has to be opened anew, which reads what
        is there. The records of one call count together or not at all, whatever a crash or a full disk leaves of them.

        Calls of several threads take turns: the check of the budget and the record are one step. A forked child is
        refused. So is every call after the file was removed, replaced, cut or written by somebody else.

        The promised epsilon of everything in the file, unsettled rounds in full, is never above the budget, but for
        what `record_past` and `record_sum` put there.
    """

    def __init__(
        self,
        file: LedgerFile,
        state: LedgerState,
        table: EpsilonTable,
        key: LedgerKey | None,
        *,
        witnessed: Witnessed,
    ) -> None:
        self._file = file
        self._state = state
        self._key = key
        self._end = Appender(file, state, table, witnessed)
        self._turns = Turns("ledger")

    @classmethod
    def create(
        cls,
        path: _PathLike,
        header: Header,
        key: LedgerKey | None = None,
        predecessors: Sequence[_PathLike] = (),
        *,
        witness: MonotoneWitness | None = None,
    ) -> Self:
        """Begins a ledger in a new file.

        Args:
            path: of the file. It must not exist, or hold no more than what a crash left of an earlier attempt.
            header: the budget and its assumptions; its key is filled in from `key`.
            key: signs heads; None for a ledger that is not signed.
            predecessors: the files that this one continues, the oldest first. The last of them must be closed; all
                that they spent counts here too.
            witness: a number outside of this host that only grows, for this file alone. With it a file that was
                restored from an older copy is refused when it is opened. None: clients and auditors that kept a later
                head notice it, and nobody else.

        Raises:
            InvalidParameterError: a field of the header is out of its range.
            BadRecordError: a predecessor is not as it was written.
            RolledBackError: its witness has seen such a file already.
            LedgerRefusedError: the file holds a ledger, or a predecessor is not closed or has another budget.
            LedgerLockedError: another writer has the file open.
            OSError: a file cannot be read or written.
        """
        file_path, witnessed = check_path("path", path), Witnessed("ledger", witness)
        if type(header) is not Header:
            raise InvalidParameterError("header", header, "a Header")
        _check_key(key)
        predecessors = check_paths("predecessors", predecessors)
        header = replace(header, key=None if key is None else key.public_key)
        head = NO_HEAD
        if predecessors:
            state, table, before = _read(read_ledger(predecessors))
            head = before.head
            state.check(header)
            state.apply(header)
        else:
            state, table = LedgerState(header), EpsilonTable(header.delta)
        line = encode(header, head)
        # A file that its witness has seen already is lost, and not begun anew.
        witnessed.check(0, least=witnessed.least())
        file = LedgerFile(file_path, create=True)
        try:
            ledger = cls(file, state, table, key, witnessed=witnessed)
            ledger._end.begin(line, continues=head)
        except BaseException:
            file.close()
            raise
        return ledger

    @classmethod
    def open(
        cls,
        path: _PathLike,
        key: LedgerKey | None = None,
        predecessors: Sequence[_PathLike] = (),
        *,
        witness: MonotoneWitness | None = None,
    ) -> Self:
        """Opens a ledger to go on with it, after verifying all of it.

        Args:
            path: of the file.
            key: that of the header, if it has one.
            predecessors: the files that this one continues, the oldest first.
            witness: the one that was given to `create`.

        Raises:
            RolledBackError: the file is behind its witness.
            BadRecordError: a record is not as it was written, or a figure is wrong.
            InvalidParameterError: the key is not that of the header.
            LedgerRefusedError: predecessors are missing.
            LedgerLockedError: another writer has the file open.
            OSError: a file cannot be read or written.
        """
        file_path, witnessed = check_path("path", path), Witnessed("ledger", witness)
        _check_key(key)
        predecessors = check_paths("predecessors", predecessors)
        file = LedgerFile(file_path)
        try:
            least = witnessed.least()
            # Of the file that is locked, not of what its path leads to by now.
            state, table, chain = _read(read_ledger((*predecessors, file_path), last=file.read_from(0)))
            header_key = None if chain.header is None else chain.header.key
            if header_key != (None if key is None else key.public_key):
                raise InvalidParameterError("key", key, "the one whose public half is in the header")
            ledger = cls(file, state, table, key, witnessed=witnessed)
            ledger._end.resume(chain, least=least)
        except BaseException:
            file.close()
            raise
        return ledger

    @property
    def header(self) -> Header:
        """The first record of the first file."""
        return self._state.header

    @property
    def head(self) -> bytes:
        """The hash of the last record: what clients hold the server to, and what is published as an anchor."""
        return self._end.head

    @property
    def torn(self) -> TornTail | None:
        """What a crash had left at the end of the file, and where it was moved; None if there was nothing."""
        return self._file.torn

    @property
    @_in_turn
    def unsettled(self) -> tuple[int, ...]:
        """The rounds that are reserved and not settled; they count in full."""
        return self._state.unsettled()

    @property
    @_in_turn
    def spent(self) -> float:
        """The promised epsilon of everything so far: what is held against the budget."""
        return self._end.spending.epsilon().value

    @_in_turn
    def would_exceed(self, release: ReleaseRecord) -> bool:
        """Returns whether a release would spend more than the budget.

        Raises:
            InvalidParameterError: a figure of the record is wrong.
            UnsupportedEventError: no bound is known for such a release.
        """
        return not self._end.spending_with(release).is_within(float_below(self.header.budget))

    @_in_turn
    def epsilon_with(self, release: ReleaseRecord) -> float:
        """Returns the promised epsilon of everything so far and one more release.

        Raises:
            InvalidParameterError: a figure of the record is wrong.
            UnsupportedEventError: no bound is known for such a release.
        """
        return self._end.spending_with(release).epsilon().value

    @_in_turn
    def reserve(self, reserve: Reserve) -> bytes:
        """Reserves a round: to be called before anybody is asked to unmask.

        Args:
            reserve: the round; its `epsilon` is filled in here.

        Returns:
            The new head.

        Raises:
            BudgetExceededError: the round would spend more than the budget; nothing was written.
            InvalidParameterError: a figure is out of its range, or cannot be true beside the others.
            LedgerRefusedError: the round's number does not rise, or the ledger is closed.
            UnsupportedEventError: no bound is known for such a release.
            OSError: the disk refused.
        """
        return self._end.release([reserve])

    @_in_turn
    def settle(
        self, round_number: int, survivors: int, *, members: bytes | None = None, cohort: bytes | None = None
    ) -> bytes:
        """Says how many participants are in the sum of a reserved round, and which.

        A round that was not released stays unsettled: the server may have learned the sum, so it counts.

        Args:
            round_number: of the round.
            survivors: participants whose vectors and noise are in the sum.
            members: which, as `members_bitmap` returns it; None leaves it unsaid.
            cohort: the hash of the cohort that the bitmap is over, as `record_cohort` returns it; None leaves it
                unsaid.

        Returns:
            The new head.

        Raises:
            InvalidParameterError: survivors are fewer than the round's minimum or more than its invited; or the bitmap
                is not of so many, or the cohort not of as many as were invited.
            LedgerRefusedError: the round is not reserved, or settled already.
            OSError: the disk refused.
        """
        round_number = check_count("round_number", round_number, low=0)
        survivors = check_count("survivors", survivors, low=0)
        return self._end.write([Settle(round=round_number, survivors=survivors, members=members, cohort=cohort)])

    @_in_turn
    def record_cohort(self, ids: Collection[int], *, salt: bytes | None = None) -> bytes:
        """Says who can be in the sums of a cohort, so that bitmaps over it can be read; once for all its rounds.

        Args:
            ids: of its members, in any order.
            salt: None holds the ids themselves. With a salt, of at least 16 random bytes that the operator keeps, the
                ledger holds hashes: only who has the salt can look an id up.

        Returns:
            The hash of the cohort, for `settle`. Nothing is written where the ledger holds it already.

        Raises:
            InvalidParameterError: an id or the salt is out of range, or an id is there twice.
            LedgerRefusedError: the ledger is closed.
            OSError: the disk refused.
        """
        cohort = MemberList.of(ids, salt)
        if cohort.digest not in self._state.cohorts:
            self._end.write(cohort.records())
        return cohort.digest

    @_in_turn
    def record_sum(self, record: Sum) -> bytes:
        """Records a sum without noise that was released, whatever the budget: an audit shows that nothing bounds it.

        Returns:
            The new head.

        Raises:
            InvalidParameterError: a figure is out of its range.
            LedgerRefusedError: the ledger is closed.
            OSError: the disk refused.
        """
        return self._end.release([record], past=True)

    @_in_turn
    def spend(
        self,
        event: Event,
        count: int = 1,
        *,
        known_to: SampleKnownTo | None = None,
        dimension: int = 1,
        label: str | None = None,
        run: bytes | None = None,
        evidence: bytes | None = None,
    ) -> bytes:
        """Counts releases to which one trusted party adds the noise: to be called before they are made.

        Args:
            event: a `Gaussian` or `DiscreteGaussian`, or several of them composed, perhaps on a sample; or several of
                all these composed, which count together or not at all.
            count: how many such releases.
            known_to: who knows the samples. It has no default: where there is a sample, it must be said. Against
                whoever knows it a sample amplifies nothing.
            dimension: coordinates of the vectors that get discrete noise.
            label: informative: what is released, 1 to 128 characters of ASCII.
            run: informative: the id of the training or study that it is part of, 1 to 64 bytes.
            evidence: informative: the SHA-256 of a document about it.

        Returns:
            The new head.

        Raises:
            BudgetExceededError: they would spend more than the budget; nothing was written.
            UnlikeEventsError: their relation or unit is not that of the ledger.
            UnsupportedEventError: this is no event of one trusted party, or one without noise.
            InvalidParameterError: a figure is out of its range, or there is a sample and `known_to` is not said.
            OSError: the disk refused.
        """
        releases = centrals_of(self.header, event, count, known_to=known_to, dimension=dimension)
        return self._end.release([replace(one, label=label, run=run, evidence=evidence) for one in releases])

    @_in_turn
    def record_past(
        self,
        event: Event,
        count: int = 1,
        *,
        known_to: SampleKnownTo | None = None,
        dimension: int = 1,
        label: str | None = None,
        run: bytes | None = None,
        evidence: bytes | None = None,
    ) -> bytes:
        """Counts releases that were made already, as `spend` does, whatever the budget: an audit shows the excess.

        A `NonPrivate` event, as `from_opacus` makes of steps without noise, is recorded too: nothing bounds it, and an
        audit says so.

        Raises:
            UnlikeEventsError: their relation or unit is not that of the ledger.
            UnsupportedEventError: this is no event of one trusted party.
            InvalidParameterError: a figure is out of its range, or there is a sample and `known_to` is not said.
            OSError: the disk refused.
        """
        releases = centrals_of(self.header, event, count, known_to=known_to, dimension=dimension, past=True)
        about = [replace(one, label=label, run=run, evidence=evidence) for one in releases]
        return self._end.release(about, past=True)

    @_in_turn
    def sign_head(self) -> bytes:
        """Signs everything so far; returns the new head.

        Raises:
            LedgerRefusedError: the ledger has no key, or is closed.
            OSError: the disk refused.
        """
        if self._key is None:
            raise LedgerRefusedError("a signed head", "the ledger has no key")
        return self._end.write([Head(signature=self._key.sign_head(self._end.head))])

    @_in_turn
    def finish(self) -> bytes:
        """Writes the last record, after which nothing follows in this file; returns the final head.

        Raises:
            LedgerRefusedError: the ledger is closed already.
            OSError: the disk refused.
        """
        return self._end.write([Close(signature=None if self._key is None else self._key.sign_close(self._end.head))])

    @property
    def start(self) -> bytes:
        """A head whose `lines_since` are all lines of the file."""
        return self._end.start

    def had(self, head: bytes) -> bool:
        """Returns whether this file had a head once, or continues it."""
        return self._end.had(head)

    @_in_turn
    def lines_since(self, head: bytes) -> tuple[bytes, ...]:
        """Returns the lines of this file after a head: what shows a client that the ledger extends the one it knows.

        Args:
            head: the client's last; `NO_HEAD`, or that of the predecessor, for the whole file.

        Raises:
            InvalidParameterError: this file never had that head.
        """
        return self._end.lines_since(head)

    def close(self) -> None:
        """Closes and unlocks the file; a second call does nothing, nor does one in a forked child.

        For the closing *record*, see `finish`.
        """
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _read(reading: Reading) -> tuple[LedgerState, EpsilonTable, Chain]:
    """Returns what a ledger's files say, their epsilons, and the last file.

    Raises:
        BadRecordError: there is a fault; the first is raised.
        OSError: a file cannot be read, and no file before it has a fault.
    """
    replayed = replay(reading.records)
    state = replayed.state
    table = EpsilonTable(Fraction(1) if state is None else state.header.delta)
    false_claim = None if state is None else table.false_claim(state.releases)
    for error in (None if false_claim is None else false_claim[1], replayed.fault, reading.fault, reading.unread):
        if error is not None:
            raise error
    if state is None:
        raise BadRecordError(1, Fault.FIELDS, "there is no complete record")
    return state, table, reading.chains[-1]


def _check_key(key: object) -> None:
    if key is not None and not isinstance(key, LedgerKey):
        raise InvalidParameterError("key", type(key).__name__, "a LedgerKey, or None")
