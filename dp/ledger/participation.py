"""Who was in which sum: bitmaps over cohorts, and cohorts as ids or as salted hashes.

A ledger says so by its operator's choice. Ids are for an audit by everybody; salted hashes for one by those to whom the
operator gives the salt, as a client that asks in which sums it was. Neither is needed for any epsilon.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Self

from dp.checks import check_count
from dp.errors import InvalidParameterError
from dp.ledger.errors import LedgerRefusedError
from dp.ledger.record_types import Cohort, MemberForm, Settle, Sum

__all__ = ["MOST_LISTED", "CohortTable", "MemberList", "check_bitmap", "member_bytes", "members_bitmap", "places_in"]

_ID_BYTES: Final = 8
_MAX_ID: Final = 2**64 - 1
_LENGTHS: Final = {MemberForm.IDS: _ID_BYTES, MemberForm.SALTED_HASHES: 32}
_MOST_BYTES: Final = 1 << 12
"""Of the members in one record."""

MOST_LISTED: Final = 8 << 12
"""Participants that the bitmap in a record can have bits for."""

_MIN_SALT_BYTES: Final = 16
_MEMBER_LABEL: Final = b"dp/ledger/2/member"
_COHORT_LABEL: Final = b"dp/ledger/2/cohort"


def member_bytes(member: int, salt: bytes | None = None) -> bytes:
    """Returns what a ledger holds of an id: 8 bytes of itself, or with a salt the 32 of a hash.

    Args:
        member: the id, from 0 to 2**64 - 1.
        salt: at least 16 random bytes, one salt for a ledger. Whoever has it can try all ids.

    Raises:
        InvalidParameterError: the id or the salt is out of range.
    """
    number = check_count("member", member, high=_MAX_ID).to_bytes(_ID_BYTES, "big")
    if salt is None:
        return number
    if type(salt) is not bytes or len(salt) < _MIN_SALT_BYTES:
        raise InvalidParameterError("salt", f"<{type(salt).__name__}>", f"at least {_MIN_SALT_BYTES} bytes")
    return hashlib.sha256(_MEMBER_LABEL + len(salt).to_bytes(8, "big") + salt + number).digest()


@dataclass(frozen=True, slots=True)
class MemberList:
    """The members of a cohort, as a ledger holds them.

    Args:
        form: of each.
        members: 8 or 32 bytes of each; they rise, so that their order says nothing.

    Attributes:
        digest: the hash that sums name the cohort by.
    """

    form: MemberForm
    members: tuple[bytes, ...]
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        if not self.members or not all(one < other for one, other in pairwise(self.members)):
            raise InvalidParameterError("members", len(self.members), "at least one, and members that differ and rise")
        content = _COHORT_LABEL + self.form.encode() + b"".join(self.members)
        object.__setattr__(self, "digest", hashlib.sha256(content).digest())

    @classmethod
    def of(cls, ids: Collection[int], salt: bytes | None = None) -> Self:
        """Returns the list of some ids; with a salt, of their hashes.

        Raises:
            InvalidParameterError: an id or the salt is out of range, an id is there twice, or there is none.
        """
        form = MemberForm.IDS if salt is None else MemberForm.SALTED_HASHES
        return cls(form, tuple(sorted(member_bytes(one, salt) for one in ids)))

    def place_of(self, member: bytes) -> int | None:
        """Returns a member's place; None if it is not there."""
        place = bisect_left(self.members, member)
        return place if place < len(self.members) and self.members[place] == member else None

    def records(self) -> tuple[Cohort, ...]:
        """Returns the records of the cohort."""
        step = _MOST_BYTES // _LENGTHS[self.form]
        last = (len(self.members) - 1) // step
        return tuple(
            Cohort(
                cohort=self.digest,
                form=self.form,
                first=part * step,
                members=b"".join(self.members[part * step : (part + 1) * step]),
                following=last - part,
            )
            for part in range(last + 1)
        )

    def bitmap(self, ids: Collection[int], salt: bytes | None = None) -> bytes:
        """Returns which members are in a sum, as `Settle.members` has it.

        Args:
            ids: of those in the sum.
            salt: of the list.

        Raises:
            InvalidParameterError: one of them is no member.
        """
        bitmap = bytearray(-(-len(self.members) // 8))
        for one in ids:
            place = self.place_of(member_bytes(one, salt))
            if place is None:
                raise InvalidParameterError("ids", one, "members of the cohort")
            bitmap[place // 8] |= 1 << place % 8
        return bytes(bitmap)


def members_bitmap(cohort: Collection[int], *, ids: Collection[int], salt: bytes | None = None) -> bytes:
    """Returns which of a cohort are in a sum, as `Ledger.settle` takes it.

    Args:
        cohort: the ids of all who were invited, in any order.
        ids: the ids of those in the sum.
        salt: where the ledger holds salted hashes.

    Raises:
        InvalidParameterError: an id or the salt is out of range, or one of the ids is not in the cohort.
    """
    return MemberList.of(cohort, salt).bitmap(ids, salt)


def places_in(bitmap: bytes) -> Iterator[int]:
    """Yields the places in the cohort of those whose bit is set."""
    for place in range(8 * len(bitmap)):
        if bitmap[place // 8] >> place % 8 & 1:
            yield place


def check_bitmap(bitmap: bytes, *, survivors: int, invited: int) -> None:
    """Checks that a bitmap can be that of a sum.

    Raises:
        InvalidParameterError: it has another length, a bit beyond the cohort, or another number of bits.
    """
    length = -(-invited // 8)
    if len(bitmap) != length:
        raise InvalidParameterError("members", f"{len(bitmap)} bytes", f"{length} bytes, a bit for each invited")
    bits = int.from_bytes(bitmap, "little")
    if bits >> invited:
        raise InvalidParameterError("members", "a bit beyond the cohort", f"bits of the {invited} invited")
    if bits.bit_count() != survivors:
        raise InvalidParameterError("members", f"{bits.bit_count()} bits", f"one for each survivor, {survivors}")


class CohortTable:
    """The cohorts that a ledger holds."""

    def __init__(self) -> None:
        self._whole: dict[bytes, MemberList] = {}
        self._parts: list[bytes] = []
        """Members of the cohort whose records are being read."""

    def check(self, record: Cohort) -> None:
        """Checks that a part of a cohort may come next. That parts follow each other is checked before.

        Raises:
            LedgerRefusedError: the ledger holds the cohort already, or the part does not go on where the last ended.
            InvalidParameterError: the members are not whole, do not rise, or have another hash.
        """
        if record.cohort in self._whole:
            raise LedgerRefusedError("a cohort", "the ledger holds it already")
        if record.first != len(self._parts):
            reason = f"{len(self._parts)} members of it came before, and the first one here is {record.first}"
            raise LedgerRefusedError("a part of a cohort", reason)
        if not record.following and self._with(record).digest != record.cohort:
            raise InvalidParameterError("cohort", record.cohort.hex(), "the hash of the members")

    def add(self, record: Cohort) -> None:
        """Adds a part that was checked."""
        if record.following:
            self._parts += _members_of(record)
            return
        self._whole[record.cohort] = self._with(record)
        self._parts = []

    def check_sum(self, record: Settle | Sum, *, invited: int) -> None:
        """Checks what a record says of who is in its sum.

        Args:
            record: it.
            invited: participants asked.

        Raises:
            InvalidParameterError: the bitmap cannot be that of the sum, or its cohort is not known or of another size.
        """
        if record.members is not None:
            check_bitmap(record.members, survivors=record.survivors, invited=invited)
        if record.cohort is None:
            return
        cohort = self._whole.get(record.cohort)
        if cohort is None:
            raise InvalidParameterError("cohort", record.cohort.hex(), "one that the ledger holds")
        if len(cohort.members) != invited or record.members is None:
            allowed = f"given with a bitmap, and a cohort of the {invited} invited"
            raise InvalidParameterError("cohort", f"one of {len(cohort.members)}", allowed)

    def all(self) -> dict[bytes, MemberList]:
        """Returns the cohorts by their hashes."""
        return dict(self._whole)

    def __contains__(self, cohort: object) -> bool:
        return cohort in self._whole

    def _with(self, record: Cohort) -> MemberList:
        return MemberList(record.form, (*self._parts, *_members_of(record)))


def _members_of(record: Cohort) -> list[bytes]:
    length = _LENGTHS[record.form]
    if len(record.members) % length:
        raise InvalidParameterError("members", f"{len(record.members)} bytes", f"a multiple of {length}")
    return [record.members[start : start + length] for start in range(0, len(record.members), length)]
