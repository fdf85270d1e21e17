"""The writing end of a ledger: what its file and its memory hold is the same, or nothing more is written.

`Ledger` says what may be written, and makes calls take turns; here is how one call is written, as a whole.
"""

from collections.abc import Sequence
from dataclasses import replace

from dp.checks import float_below
from dp.errors import BudgetExceededError, InvalidParameterError
from dp.ledger.chain import Chain
from dp.ledger.epsilon import EpsilonTable
from dp.ledger.errors import LedgerRefusedError
from dp.ledger.events import Released
from dp.ledger.file import LedgerFile
from dp.ledger.record_types import NO_HEAD, Record, ReleaseRecord, Sum
from dp.ledger.records import SCHEMA_VERSION, encode, line_hash, schema_needed
from dp.ledger.spending import Spending
from dp.ledger.state import LedgerState
from dp.ledger.witnesses import Witnessed

__all__ = ["Appender"]


class Appender:
    """A ledger's open file, with the state that its records lead to. Its calls come one at a time.

    Args:
        file: open, and at its end.
        state: after its last record.
        table: of the ledger's epsilons.
        witnessed: is told where the file ends, after each call.

    Attributes:
        head: the hash of the last record.
        spending: what all releases spend together.
    """

    def __init__(self, file: LedgerFile, state: LedgerState, table: EpsilonTable, witnessed: Witnessed) -> None:
        self.head = NO_HEAD
        self.spending = Spending(table)
        for release in state.releases:
            self.spending.add(release.views.promised)
        self._file = file
        self._state = state
        self._table = table
        self._witnessed = witnessed
        self._schema = SCHEMA_VERSION
        self._ends = {NO_HEAD: 0}
        # False while file and memory may differ: what stops a call then leaves the ledger to be opened anew.
        self._sound = True

    def begin(self, line: bytes, *, continues: bytes) -> None:
        """Writes the header, whose state is in place already."""
        self._file.append(line)
        self._ends[continues] = 0
        self._wrote((line,))
        self._witnessed.advance(self._ends[self.head])

    def resume(self, chain: Chain, *, least: int) -> None:
        """Goes on after what was read of the file. Records of a call that is not complete are moved to FILE.torn.

        Raises:
            RolledBackError: the file ends before `least`, where its witness has seen it end.
        """
        self._witnessed.check(max((0, *chain.ends)), least=least)
        if chain.torn:
            self._file.move_aside(chain.ends[-1])
        self._ends = dict(zip(chain.heads, chain.ends, strict=True)) | {chain.continues: 0}
        self.head = chain.head
        self._schema = chain.schema

    @property
    def start(self) -> bytes:
        """A head whose lines since are all lines of the file."""
        return next(iter(self._ends))

    def had(self, head: bytes) -> bool:
        """Returns whether this file had a head once, or continues it."""
        return isinstance(head, bytes) and head in self._ends

    def lines_since(self, head: bytes) -> tuple[bytes, ...]:
        """Returns the lines after a head.

        Raises:
            InvalidParameterError: this file never had that head.
        """
        if not self.had(head):
            offered = head.hex() if isinstance(head, bytes) else head
            raise InvalidParameterError("head", offered, "a head that this file had")
        return self._file.read_from(self._ends[head])

    def spending_with(self, release: ReleaseRecord) -> Spending:
        """Returns what would be spent with one more release."""
        return self._with([self._promised(release)])

    def release(self, releases: Sequence[ReleaseRecord], *, past: bool = False) -> bytes:
        """Writes releases if the budget has room for all of them, or if they are past; returns the new head."""
        promised = [self._promised(release) for release in releases]
        after = self._with(promised)
        budget = self._state.header.budget
        if not past and not after.is_within(float_below(budget)):
            raise BudgetExceededError(after.epsilon().value, float(budget))
        claimed = [
            release if isinstance(release, Sum) else replace(release, epsilon=self._table.claim(one))
            for release, one in zip(releases, promised, strict=True)
        ]
        return self._append(claimed, after)

    def write(self, records: Sequence[Record]) -> bytes:
        """Writes the records of one call that spend nothing; returns the new head."""
        return self._append(records, self.spending)

    def _append(self, records: Sequence[Record], after: Spending) -> bytes:
        lines = self._lines(records)
        if not lines:
            return self.head
        if not self._sound:
            raise LedgerRefusedError("an append", "an earlier one failed half-way: open the ledger anew")
        self._sound = False
        self._file.append(b"".join(lines))
        for record in records:
            self._state.apply(record)
        self._wrote(lines)
        self._witnessed.advance(self._ends[self.head])
        self.spending = after
        self._sound = True
        return self.head

    def _lines(self, records: Sequence[Record]) -> list[bytes]:
        lines: list[bytes] = []
        head = self.head
        for place, record in enumerate(records):
            # The others of a call follow the first, which is not applied yet.
            if place == 0:
                self._state.check(record)
            self._check_schema(record)
            lines.append(encode(record, head))
            head = line_hash(lines[-1])
        return lines

    def _promised(self, release: ReleaseRecord) -> Released:
        # What has no record is refused before any formula meets it.
        encode(release, self.head)
        return self._state.views(release).promised

    def _check_schema(self, record: Record) -> None:
        if schema_needed(record) > self._schema:
            reason = f"a file of schema version {self._schema} has none: finish it, and continue it in a new file"
            raise LedgerRefusedError(f"such a {type(record).__name__.lower()}", reason)

    def _with(self, promised: Sequence[Released]) -> Spending:
        more = self.spending.copy()
        for one in promised:
            more.add(one)
        return more

    def _wrote(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            end = self._ends[self.head] + len(line)
            self.head = line_hash(line)
            self._ends[self.head] = end
