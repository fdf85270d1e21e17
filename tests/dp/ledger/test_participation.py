"""Who was in which sum, as a ledger says it and an audit reads it."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp.errors import InvalidParameterError
from dp.ledger.audit import Verdict, audit
from dp.ledger.errors import Fault, LedgerRefusedError
from dp.ledger.participation import MemberList, check_bitmap, members_bitmap, places_in
from dp.ledger.record_types import NO_HEAD, Cohort, MemberForm, Record, Settle
from dp.ledger.records import encode, line_hash
from dp.ledger.writer import Ledger
from tests.kit.ledger_scene import HEADER, a_round

SALT = bytes(range(16))
IDS = st.sets(st.integers(0, 2**64 - 1), min_size=1, max_size=70)


@given(IDS, st.data(), st.sampled_from([None, SALT]))
def test_a_bitmap_has_the_places_of_its_members(ids: set[int], data: st.DataObject, salt: bytes | None):
    chosen = data.draw(st.sets(st.sampled_from(sorted(ids))))
    # By another route: the members' texts, sorted.
    texts = sorted(
        one.to_bytes(8, "big")
        if salt is None
        else hashlib.sha256(b"dp/ledger/2/member" + (16).to_bytes(8, "big") + salt + one.to_bytes(8, "big")).digest()
        for one in ids
    )
    cohort = MemberList.of(ids, salt)
    assert list(cohort.members) == texts
    bitmap = members_bitmap(ids, ids=chosen, salt=salt)
    assert {texts[place] for place in places_in(bitmap)} == set(MemberList.of(chosen, salt).members if chosen else ())
    check_bitmap(bitmap, survivors=len(chosen), invited=len(ids))


@pytest.mark.parametrize(
    ("bitmap", "survivors"), [(b"\x07", 3), (b"\x07\x00\x00", 3), (b"\x00\x20", 1), (b"\x03\x00", 3)], ids=str
)
def test_a_bitmap_that_is_of_no_such_sum_is_refused(bitmap: bytes, survivors: int):
    with pytest.raises(InvalidParameterError, match="members"):
        check_bitmap(bitmap, survivors=survivors, invited=13)


@pytest.mark.parametrize(
    ("ids", "salt", "field"),
    [
        ([], None, "members"),
        ([1, 1], None, "members"),
        ([-1], None, "member"),
        ([2**64], None, "member"),
        ([True], None, "member"),
        ([1], b"short", "salt"),
        ([1], "0123456789abcdef", "salt"),
    ],
    ids=str,
)
def test_what_is_no_cohort_is_refused_by_name(ids: list[int], salt: bytes | None, field: str):
    with pytest.raises(InvalidParameterError) as refused:
        MemberList.of(ids, salt)
    assert refused.value.parameter == field
    assert "short" not in str(refused.value)
    assert "0123456789abcdef" not in str(refused.value)


def test_a_stranger_is_in_no_sum():
    with pytest.raises(InvalidParameterError, match="ids = 5"):
        members_bitmap([1, 2, 3], ids=[5])


@pytest.mark.parametrize("salt", [None, SALT])
def test_an_audit_says_in_which_sums_somebody_was(tmp_path: Path, salt: bytes | None):
    path = tmp_path / "ledger"
    ids = range(1000, 1100)
    with Ledger.create(path, HEADER) as ledger:
        cohort = ledger.record_cohort(ids, salt=salt)
        head = ledger.head
        assert (ledger.record_cohort(reversed(ids), salt=salt), ledger.head) == (cohort, head)
        for number, left_out in ((1, 1000), (2, 1001), (3, 1002)):
            ledger.reserve(a_round(number))
            survivors = [one for one in ids if one != left_out]
            ledger.settle(number, 99, members=members_bitmap(ids, ids=survivors, salt=salt), cohort=cohort)
        ledger.reserve(a_round(4))
        ledger.settle(4, 99)
    report = audit([path])
    assert report.verdict is Verdict.FINE
    for member, rounds in ((1000, [2, 3]), (1002, [1, 2]), (1050, [1, 2, 3]), (5, [])):
        asked = report.participation(member, salt=salt)
        assert [one.round for one in asked.inside] == rounds
        assert [one.round for one in asked.outside] == [one for one in (1, 2, 3) if one not in rounds]
        assert [one.round for one in asked.unsaid] == [4]
    # Without the salt, hashes say nothing of anybody.
    other = report.participation(1050, salt=bytes(16) if salt is not None else None)
    assert len(other.inside) == (3 if salt is None else 0)
    if salt is not None:
        assert [one.round for one in report.participation(1050).unsaid] == [1, 2, 3, 4]
        assert b"1050" not in path.read_bytes()


def written(path: Path, records: Sequence[Record]) -> Path:
    head, lines = NO_HEAD, []
    for record in (HEADER, *records):
        lines.append(encode(record, head))
        head = line_hash(lines[-1])
    path.write_bytes(b"".join(lines))
    return path


def test_a_long_cohort_is_there_as_a_whole_or_not_at_all(tmp_path: Path):
    cohort = MemberList.of(range(2000), SALT)
    records = cohort.records()
    assert len(records) == 16
    assert audit([written(tmp_path / "whole", records)]).cohorts == {cohort.digest: cohort}
    cut = audit([written(tmp_path / "cut", records[:-1])])
    assert (cut.verdict, cut.cohorts) == (Verdict.FINE, {})
    # Nobody was told of a call that is not complete: the next writer moves it aside, and says so.
    assert cut.files[0].records == 1
    with Ledger.open(tmp_path / "cut") as ledger:
        assert ledger.torn is not None
        assert ledger.torn.content.count(b"\n") == 15
        assert ledger.record_cohort(range(2000), salt=SALT) == cohort.digest
    assert audit([tmp_path / "cut"]).cohorts == {cohort.digest: cohort}


SMALL = MemberList.of([1, 2, 3])
ONE = SMALL.records()[0]
LIES: dict[str, Sequence[Record]] = {
    "another hash": [replace(ONE, cohort=bytes(32))],
    "a member twice": [replace(ONE, members=ONE.members[:8] * 2)],
    "members that fall": [replace(ONE, members=ONE.members[8:] + ONE.members[:8])],
    "half a member": [replace(ONE, members=ONE.members[:-1])],
    "twice the same": [ONE, ONE],
    "no beginning": [replace(ONE, first=1)],
    "a gap": [replace(ONE, following=1), replace(ONE, first=4)],
    "something in between": [replace(ONE, following=1), a_round(1)],
    "a count that does not fall": [replace(ONE, following=2), replace(ONE, first=3)],
    "a cohort of another size": [
        ONE,
        a_round(1),
        Settle(round=1, survivors=100, members=b"\xff" * 12 + b"\x0f", cohort=ONE.cohort),
    ],
    "an unknown cohort": [a_round(1), Settle(round=1, survivors=100, members=b"\xff" * 12 + b"\x0f", cohort=bytes(32))],
    "bits beyond the invited": [a_round(1), Settle(round=1, survivors=100, members=b"\xff" * 12 + b"\xf0")],
    "fewer bits than survivors": [a_round(1), Settle(round=1, survivors=100, members=b"\xff" * 13)],
}


@pytest.mark.parametrize("name", LIES)
def test_a_cohort_or_bitmap_that_cannot_be_is_a_wrong_figure(tmp_path: Path, name: str):
    report = audit([written(tmp_path / "ledger", LIES[name])])
    assert report.verdict is Verdict.WRONG_FIGURE
    assert [(fault.record, fault.fault) for fault in report.faults] == [(len(LIES[name]) + 1, Fault.FIGURE)]


def test_a_ledger_writes_no_bitmap_that_cannot_be(tmp_path: Path):
    with Ledger.create(tmp_path / "ledger", HEADER) as ledger:
        ledger.reserve(a_round(1))
        head = ledger.head
        for members, cohort in ((b"\xff", None), (b"\xff" * 12 + b"\x0f", bytes(32))):
            with pytest.raises(InvalidParameterError):
                ledger.settle(1, 100, members=members, cohort=cohort)
        assert (ledger.head, ledger.unsettled) == (head, (1,))


def test_a_file_of_version_1_has_no_cohort(tmp_path: Path):
    path = tmp_path / "ledger"
    path.write_bytes((Path(__file__).parent / "version_1.jsonl").read_bytes().splitlines(keepends=True)[0])
    from tests.kit.ledger_scene import KEY

    with (
        Ledger.open(path, KEY) as ledger,
        pytest.raises(LedgerRefusedError, match="schema version 1 has none: finish it"),
    ):
        ledger.record_cohort([1, 2])
    assert isinstance(ONE, Cohort)
    assert ONE.form is MemberForm.IDS
