"""What a ledger says so far, and the rules between its records: the writer keeps them, and readers check them.

Replaying records is the second step of an audit: each record that may come next changes the state, and what a release
stands for is decided as its record is taken. No epsilon is computed here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dp.errors import InvalidParameterError
from dp.ledger.errors import BadRecordError, Fault, LedgerRefusedError
from dp.ledger.events import EventTable, Views, check_release
from dp.ledger.participation import CohortTable
from dp.ledger.records import Central, Close, Cohort, Header, Record, ReleaseRecord, Reserve, Settle, Sum, following
from dp.ledger.time_limit import TimeLimit

__all__ = ["LedgerState", "Place", "Release", "Replay", "replay"]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a record is: the file, counted from 0, and the number of its line, from 1."""

    file: int
    record: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A record of a release that was accepted.

    Args:
        record: a round, releases of one trusted party, or a sum without noise.
        place: of the record.
        views: what it stands for.
        survivors: participants in the sum; None of releases of one trusted party, and of a round that is not settled.
        members, cohort: which, as in `Settle`; None where nobody said.
        settled: the place of the record that settles a round; None if there is none.
    """

    record: ReleaseRecord
    place: Place
    views: Views
    survivors: int | None = None
    members: bytes | None = None
    cohort: bytes | None = None
    settled: Place | None = None

    def as_before(self, place: Place) -> "Release":
        """Returns the release as it was before the record at a later place was written."""
        if self.settled is None or self.settled < place:
            return self
        # Before it is settled, what a round is taken for is what it promises.
        views = self.views._replace(realised=self.views.promised)
        return replace(self, views=views, survivors=None, members=None, cohort=None, settled=None)


class LedgerState:
    """A ledger's header, its releases, and which of them are settled.

    A file that continues another goes on with that one's state.

    Args:
        header: of the first file.
    """

    def __init__(self, header: Header) -> None:
        self.header = header
        self.releases: list[Release] = []
        self.closed = False
        self.place = Place(0, 1)
        """Where the last record is."""
        self._events = EventTable(header)
        self._rounds: dict[int, int] = {}
        """Where the release of each round is among the releases."""
        self._last_round = 0
        self._following = 0
        """How many records have to come before the call that wrote the last one is complete; all are of its kind."""
        self._calling: type[Record] = Header
        self.cohorts = CohortTable()

    @property
    def last_round(self) -> int:
        """The number of the last reserved round, 0 if there is none."""
        return self._last_round

    def check(self, record: Record) -> None:
        """Checks that a record may come next, and that its figures can be true.

        Raises:
            LedgerRefusedError: it may not come next.
            InvalidParameterError: a figure is wrong; it is named.
        """
        if self.closed and not isinstance(record, Header):
            raise LedgerRefusedError("a record", "the ledger is closed; continue it in a new file")
        if self._following and (type(record) is not self._calling or following(record) != self._following - 1):
            reason = f"{self._following} records of the same call have to come first: they count together"
            raise LedgerRefusedError("a record", reason)
        if isinstance(record, Header):
            self._check_header(record)
        elif isinstance(record, Reserve):
            self.views(record)
            if record.round <= self._last_round:
                raise LedgerRefusedError(
                    f"a reserve of round {record.round}", f"rounds rise, and the last one was {self._last_round}"
                )
        elif isinstance(record, Central | Sum):
            self.views(record)
            if isinstance(record, Sum):
                self.cohorts.check_sum(record, invited=record.invited)
        elif isinstance(record, Cohort):
            self.cohorts.check(record)
        elif isinstance(record, Settle):
            self._check_settle(record)

    def views(self, release: ReleaseRecord) -> Views:
        """Returns what a release stands for, before it is settled.

        Raises:
            InvalidParameterError: a figure cannot be true beside the others, or the relation has no such mechanism.
        """
        check_release(self.header, release)
        return self._events.views(release)

    def apply(self, record: Record) -> None:
        """Takes a record that was checked into account."""
        self.place = self.place_of(record)
        self._following = following(record)
        self._calling = type(record)
        if isinstance(record, Header):
            self.closed = False
        elif isinstance(record, Reserve | Central | Sum):
            if isinstance(record, Reserve):
                self._rounds[record.round] = len(self.releases)
                self._last_round = record.round
            views = self._events.views(record)
            here = Release(record=record, place=self.place, views=views)
            if isinstance(record, Sum):
                here = replace(here, survivors=record.survivors, members=record.members, cohort=record.cohort)
            self.releases.append(here)
        elif isinstance(record, Settle):
            number = self._rounds[record.round]
            release = self.releases[number]
            views = self._events.views(release.record, record.survivors)
            self.releases[number] = replace(
                release,
                views=views,
                survivors=record.survivors,
                members=record.members,
                cohort=record.cohort,
                settled=self.place,
            )
        elif isinstance(record, Cohort):
            self.cohorts.add(record)
        elif isinstance(record, Close):
            self.closed = True

    def place_of(self, following: Record) -> Place:
        """Returns the place of a record that comes next: a header begins a file."""
        if isinstance(following, Header):
            return Place(self.place.file + 1, 1)
        return Place(self.place.file, self.place.record + 1)

    def unsettled(self) -> tuple[int, ...]:
        """Returns the rounds that are reserved and not settled: they count in full."""
        return tuple(number for number, place in self._rounds.items() if self.releases[place].survivors is None)

    def _check_header(self, header: Header) -> None:
        if not self.closed:
            raise LedgerRefusedError("a header", "the ledger before it is not closed")
        if replace(header, key=self.header.key) != self.header:
            reason = "a ledger goes on with the scope, budget and assumptions of the one that it continues"
            raise LedgerRefusedError("another header", reason)

    def _check_settle(self, settle: Settle) -> None:
        action = f"a settle of round {settle.round}"
        place = self._rounds.get(settle.round)
        if place is None:
            raise LedgerRefusedError(action, "there is no reserve of it")
        release = self.releases[place]
        if release.survivors is not None:
            raise LedgerRefusedError(action, "it is settled already")
        if not isinstance(release.record, Reserve):  # pragma: no cover - `apply` notes the places of reserves only
            raise LedgerRefusedError(action, "it is no round")
        fewest, most = release.record.min_survivors, release.record.invited
        if not fewest <= settle.survivors <= most:
            allowed = f"from min_survivors, {fewest}, to invited, {most}"
            raise InvalidParameterError("survivors", settle.survivors, allowed)
        self.cohorts.check_sum(settle, invited=most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The state that records lead to.

    Args:
        state: after the last record that may stand where it does; None if there is no record.
        stopped: the place of the record that may not; None if all may.
        fault: what is wrong with it.
    """

    state: LedgerState | None
    stopped: Place | None = None
    fault: BadRecordError | None = None


def replay(records: Sequence[Record], limit: TimeLimit | None = None) -> Replay:
    """Replays the records of a ledger, up to the first that may not come next.

    Args:
        records: in their order; the first is a header, as reading makes sure.
        limit: of the time that it may take; None for no limit.

    Raises:
        AuditTimeError: it took longer.
    """
    if not records:
        return Replay(state=None)
    first = records[0]
    if not isinstance(first, Header):
        return Replay(state=None, stopped=Place(0, 1), fault=BadRecordError(1, Fault.CHAIN, "it is no header"))
    state = LedgerState(first)
    for record in (limit or TimeLimit()).watch(records[1:], "at what its records say"):
        try:
            state.check(record)
        except (LedgerRefusedError, InvalidParameterError) as error:
            place = state.place_of(record)
            return Replay(state=state, stopped=place, fault=BadRecordError(place.record, Fault.FIGURE, str(error)))
        state.apply(record)
    return Replay(state=state)
