"""What an audit found, as data."""

import enum
from dataclasses import dataclass
from typing import Final

from dp.accounting.accountant import Bound
from dp.ledger.errors import BadRecordError, Fault
from dp.ledger.figures import Figures
from dp.ledger.records import Header
from dp.ledger.state import Place

__all__ = ["AuditReport", "FileReport", "ReleaseReport", "Verdict"]

_SLACK: Final = 1e-9
"""Relative: what an auditor's library of elementary functions may differ from the writer's, and more."""


class Verdict(enum.StrEnum):
    """What an audit comes to."""

    FINE = "fine"
    """The chain is whole, the figures are right, and the budget is kept."""

    OVER_BUDGET = "over budget"
    """More was promised than the budget allows."""

    WRONG_FIGURE = "wrong figure"
    """The records are as they were written, and one of them says what cannot be true."""

    BROKEN = "broken"
    """A record, a signature or a head is not what it was, or not what was expected."""

    FOREIGN = "foreign"
    """The file follows rules other than those implemented here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseReport:
    """One record that stands for a round, or for releases of one trusted party.

    Args:
        place: of the record.
        round: its number; None of releases of one trusted party.
        mechanism: its name.
        count: how many releases it stands for.
        invited: participants asked; None without rounds, like the next two.
        min_survivors: the fewest participants it could be released with.
        survivors: participants in the sum; None of an unsettled round too.
        claimed: the epsilon in the record; None if it claims none.
        epsilon: of this record alone.
        so_far: of everything up to and including this record, from bounds at fixed orders: a little above the totals.
    """

    place: Place
    round: int | None
    mechanism: str
    count: int
    invited: int | None
    min_survivors: int | None
    survivors: int | None
    claimed: float | None
    epsilon: Figures
    so_far: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """One file of the ledger.

    Args:
        records: how many were read, up to the first bad one.
        head: the hash of the last of them.
        key: the public key in its header; None if it has none.
        signed: the number of the last record with a valid signature, 0 if there is none.
        closed: whether it ends with a `close`.
        torn: bytes after the last complete record, left by a crash.
    """

    records: int
    head: bytes
    key: bytes | None
    signed: int
    closed: bool
    torn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What an audit found.

    Args:
        header: the budget and its assumptions; None if the first record is bad.
        files: the oldest first, up to the first with a fault.
        releases: in their order, up to the first fault.
        total: the four epsilons of all of these together.
        bound: how the promised total was bounded; None if nothing was read.
        unsettled: rounds that count in full, as nothing says what became of them.
        key_was_expected: whether the key was compared with one known from elsewhere.
        after_expected: how many records follow the expected head; None if none was expected, or it was not found.
        continuous: releases whose noise is a real number on paper: what a floating-point sampler leaks is not in here.
        faults: what is wrong, in the order of the records.
    """

    header: Header | None
    files: tuple[FileReport, ...]
    releases: tuple[ReleaseReport, ...]
    total: Figures
    bound: Bound | None
    unsettled: tuple[int, ...]
    key_was_expected: bool
    after_expected: int | None
    continuous: int
    faults: tuple[BadRecordError, ...]

    @property
    def over_budget(self) -> bool:
        """Whether the promised total is above the budget."""
        return self.header is not None and not self.total.promised <= float(self.header.budget) * (1 + _SLACK)

    @property
    def verdict(self) -> Verdict:
        """The gravest of what was found."""
        kinds = {fault.fault for fault in self.faults}
        if Fault.SCHEMA_VERSION in kinds:
            return Verdict.FOREIGN
        if kinds - {Fault.FIGURE}:
            return Verdict.BROKEN
        if kinds:
            return Verdict.WRONG_FIGURE
        return Verdict.OVER_BUDGET if self.over_budget else Verdict.FINE
