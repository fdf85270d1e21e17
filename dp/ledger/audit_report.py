"""What an audit found, as data."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from dp.accounting.accountant import Bound
from dp.ledger.errors import BadRecordError, Fault
from dp.ledger.figures import Figures
from dp.ledger.participation import MemberList, member_bytes
from dp.ledger.records import Header, MemberForm
from dp.ledger.state import Place
from dp.vocabulary import SampleKnownTo

__all__ = ["Assurance", "AuditReport", "FileReport", "Participation", "ReleaseReport", "Verdict"]

_SLACK: Final = 1e-9
"""Relative: what an auditor's library of elementary functions may differ from the writer's, and more."""


class Verdict(enum.StrEnum):
    """What an audit comes to."""

    FINE = "fine"
    """The chain is whole, the figures are right, the budget is kept, and what was required holds.

    By itself that is *recomputed*, not anchored: see `AuditReport.assurance`.
    """

    OVER_BUDGET = "over budget"
    """More was promised than the budget allows; without bound, where something was released without noise."""

    WRONG_FIGURE = "wrong figure"
    """The records are as they were written, and one of them says what cannot be true."""

    NOT_A_LEDGER = "not a ledger"
    """The file holds something else, or nothing."""

    FOREIGN = "foreign"
    """The file follows rules other than those implemented here."""

    BROKEN = "broken"
    """A record, a signature or a head is not what it was, or not what was expected."""

    NOT_ANCHORED = "not anchored as required"
    """All is as in `FINE`, but something that was required does not hold: see `AuditReport.unmet`."""


class Assurance(enum.StrEnum):
    """What holds of a ledger beside its figures, and can be required of it.

    Whoever rewrites an unsigned file can rewrite its hashes, and whoever rewrites a signed one can sign it with a key
    of his own: `SIGNED` and `CLOSED` say something only together with `ANCHORED`.
    """

    SIGNED = "signed"
    """In every file a valid signature, of the key in its header, covers every record."""

    ANCHORED = "anchored"
    """Every record is covered by something known from elsewhere: by the expected head, or by signatures of the expected
    key.
    """

    CLOSED = "closed"
    """The last file ends with a `close`. In a signed file only the key's holder can have written it: no record at the
    end was removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseReport:
    """One record that stands for a round, or for releases of one trusted party.

    Args:
        place: of the record.
        round: its number; None of releases of one trusted party.
        mechanism: its name; "none" of what has no noise.
        label: what was released, as the record says; None if it does not.
        run: the id of the training or study, likewise.
        evidence: the hash of a document about it, likewise.
        sample: who knows the sample: "nobody" or "participants"; None where there is none.
        count: how many releases it stands for.
        invited: participants asked; None without rounds, like the next two.
        min_survivors: the fewest participants it could be released with.
        survivors: participants in the sum; None of an unsettled round too.
        members: which of the invited are in the sum, as places from 0; None where the record does not say.
        cohort: the hash of the cohort that these are places in; None where the record does not say.
        claimed: the epsilon in the record; None if it claims none.
        epsilon: of this record alone.
        so_far: of everything up to and including this record, from bounds at fixed orders: a little above the totals.
    """

    place: Place
    round: int | None
    mechanism: str
    label: str | None = None
    run: bytes | None = None
    evidence: bytes | None = None
    sample: SampleKnownTo | None = None
    count: int
    invited: int | None
    min_survivors: int | None
    survivors: int | None
    members: tuple[int, ...] | None = None
    cohort: bytes | None = None
    claimed: float | None
    epsilon: Figures
    so_far: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Participation:
    """In which sums one participant was.

    Args:
        inside: rounds and sums without noise that it was in.
        outside: those that it was not in, unsettled rounds among them only where the record says who is in them.
        unsaid: those of which the ledger does not say who is in them, or in another form than was asked.
    """

    inside: tuple[ReleaseReport, ...]
    outside: tuple[ReleaseReport, ...]
    unsaid: tuple[ReleaseReport, ...]


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
        unamplified: the promised epsilon of all of these together if everybody knew the samples. Where a record says
            that nobody knows its sample, all four figures believe it.
        bound: how the promised total was bounded; None if nothing was read.
        unsettled: rounds that count in full, as nothing says what became of them.
        key_was_expected: whether the key was compared with one known from elsewhere.
        after_expected: how many records follow the expected head; None if none was expected, or it was not found.
        continuous: releases whose noise is a real number on paper: what a floating-point sampler leaks is not in here.
        cohorts: what the ledger holds of each cohort's members, by its hash.
        required: what had to hold beside the figures.
        faults: what is wrong, in the order of the records.
    """

    header: Header | None
    files: tuple[FileReport, ...]
    releases: tuple[ReleaseReport, ...]
    total: Figures
    unamplified: float = 0.0
    bound: Bound | None
    unsettled: tuple[int, ...]
    key_was_expected: bool
    after_expected: int | None
    continuous: int
    cohorts: Mapping[bytes, MemberList] = field(default_factory=dict)
    required: frozenset[Assurance] = frozenset()
    faults: tuple[BadRecordError, ...]

    @property
    def assurance(self) -> frozenset[Assurance]:
        """What holds beside the figures; nothing does where there is a fault."""
        if self.faults or not self.files:
            return frozenset()
        signed = all(file.key is not None and file.signed == file.records for file in self.files)
        holds = {
            Assurance.SIGNED: signed,
            Assurance.ANCHORED: self.after_expected == 0 or (signed and self.key_was_expected),
            Assurance.CLOSED: self.files[-1].closed,
        }
        return frozenset(assurance for assurance, there in holds.items() if there)

    @property
    def unmet(self) -> tuple[Assurance, ...]:
        """What was required and does not hold."""
        return tuple(assurance for assurance in Assurance if assurance in self.required - self.assurance)

    def participation(self, member: int, *, salt: bytes | None = None) -> Participation:
        """Returns in which sums a participant was, as far as the ledger says.

        Args:
            member: its id.
            salt: that of the hashes; None where cohorts hold ids.

        Raises:
            InvalidParameterError: the id or the salt is out of range.
        """
        forms = {MemberForm.IDS: member_bytes(member)}
        if salt is not None:
            forms[MemberForm.SALTED_HASHES] = member_bytes(member, salt)
        inside, outside, unsaid = [], [], []
        for release in self.releases:
            cohort = None if release.cohort is None else self.cohorts.get(release.cohort)
            if release.invited is None:
                continue
            if cohort is None or release.members is None or cohort.form not in forms:
                unsaid.append(release)
            elif cohort.place_of(forms[cohort.form]) in release.members:
                inside.append(release)
            else:
                outside.append(release)
        return Participation(inside=tuple(inside), outside=tuple(outside), unsaid=tuple(unsaid))

    @property
    def over_budget(self) -> bool:
        """Whether the promised total is above the budget."""
        return self.header is not None and not self.total.promised <= float(self.header.budget) * (1 + _SLACK)

    @property
    def verdict(self) -> Verdict:
        """The gravest of what was found."""
        kinds = {fault.fault for fault in self.faults}
        if Fault.NOT_A_LEDGER in kinds:
            return Verdict.NOT_A_LEDGER
        if Fault.SCHEMA_VERSION in kinds:
            return Verdict.FOREIGN
        if kinds - {Fault.FIGURE}:
            return Verdict.BROKEN
        if kinds:
            return Verdict.WRONG_FIGURE
        if self.over_budget:
            return Verdict.OVER_BUDGET
        return Verdict.NOT_ANCHORED if self.unmet else Verdict.FINE
