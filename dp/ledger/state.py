"""The rules between records: what may follow what, whoever checks it, the writer before or the auditor after."""

import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from dp.errors import InvalidParameterError, UnsupportedEventError
from dp.ledger.epsilon import EpsilonTable, covers
from dp.ledger.errors import BadRecordError, Fault, LedgerRefusedError
from dp.ledger.events import check_release
from dp.ledger.records import Central, Close, Header, Record, Reserve, Settle

__all__ = ["LedgerState"]


class LedgerState:
    """What a ledger says so far: its header, its releases, and which of them are settled.

    A file that continues another goes on with that one's state.

    Args:
        header: of the first file.
        table: computes each release's epsilon, which the record has to claim.

    Raises:
        InvalidParameterError: the header's delta or budget has no use.
    """

    def __init__(self, header: Header, table: EpsilonTable | None = None) -> None:
        self.header = header
        self.table = EpsilonTable(header) if table is None else table
        self.releases: list[Reserve | Central] = []
        self.survivors: dict[int, int] = {}
        self.closed = False
        self._reserves: dict[int, Reserve] = {}
        self._last_round = 0

    @property
    def last_round(self) -> int:
        """The number of the last reserved round, 0 if there is none."""
        return self._last_round

    def check(self, record: Record) -> None:
        """Checks that a record may come next, and that its figures can be true.

        Raises:
            LedgerRefusedError: it may not come next.
            InvalidParameterError: a figure is wrong; it is named.
            UnsupportedEventError: no bound is known for such a release.
        """
        if self.closed and not isinstance(record, Header):
            raise LedgerRefusedError("a record", "the ledger is closed; continue it in a new file")
        if isinstance(record, Header):
            self._check_header(record)
        elif isinstance(record, Reserve):
            self._check_release(record)
            if record.round <= self._last_round:
                raise LedgerRefusedError(
                    f"a reserve of round {record.round}", f"rounds rise, and the last one was {self._last_round}"
                )
        elif isinstance(record, Central):
            self._check_release(record)
        elif isinstance(record, Settle):
            self._check_settle(record)

    def apply(self, record: Record) -> None:
        """Takes a record that was checked into account."""
        if isinstance(record, Header):
            self.closed = False
        elif isinstance(record, Reserve):
            self.releases.append(record)
            self._reserves[record.round] = record
            self._last_round = record.round
        elif isinstance(record, Central):
            self.releases.append(record)
        elif isinstance(record, Settle):
            self.survivors[record.round] = record.survivors
        elif isinstance(record, Close):
            self.closed = True

    def replay(self, record: Record, number: int) -> None:
        """Checks and applies a record that was read from a file.

        Args:
            record: the record.
            number: of its line, for the error.

        Raises:
            BadRecordError: it may not come next, or a figure is wrong.
        """
        try:
            self.check(record)
        except (LedgerRefusedError, InvalidParameterError, UnsupportedEventError) as error:
            raise BadRecordError(number, Fault.FIGURE, str(error)) from None
        self.apply(record)

    def prepare(self, records: Iterable[Record]) -> None:
        """Computes at once what `replay` would compute one by one for many records; wrong ones are left to it."""
        many = []
        for record in records:
            if isinstance(record, Reserve | Central):
                with suppress(InvalidParameterError):
                    many.append(self.table.promised(record))
        with suppress(UnsupportedEventError):
            self.table.prepare(many)

    def unsettled(self) -> tuple[int, ...]:
        """Returns the rounds that are reserved and not settled: they count in full."""
        return tuple(number for number in self._reserves if number not in self.survivors)

    def _check_header(self, header: Header) -> None:
        if not self.closed:
            raise LedgerRefusedError("a header", "the ledger before it is not closed")
        if replace(header, key=self.header.key) != self.header:
            reason = "a ledger goes on with the scope, budget and assumptions of the one that it continues"
            raise LedgerRefusedError("another header", reason)

    def _check_release(self, release: Reserve | Central) -> None:
        check_release(self.header, release)
        if not covers(release.epsilon, self.table.alone(self.table.promised(release))):
            allowed = f"at least {float(self.table.claim(release) or math.inf):.9g}, as follows from the rest"
            offered = None if release.epsilon is None else f"{float(release.epsilon):.9g}"
            raise InvalidParameterError("epsilon", offered, allowed)

    def _check_settle(self, settle: Settle) -> None:
        action = f"a settle of round {settle.round}"
        reserve = self._reserves.get(settle.round)
        if reserve is None:
            raise LedgerRefusedError(action, "there is no reserve of it")
        if settle.round in self.survivors:
            raise LedgerRefusedError(action, "it is settled already")
        if not reserve.min_survivors <= settle.survivors <= reserve.invited:
            allowed = f"from min_survivors, {reserve.min_survivors}, to invited, {reserve.invited}"
            raise InvalidParameterError("survivors", settle.survivors, allowed)
