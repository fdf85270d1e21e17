"""The audit: what it recomputes, what it finds, and what it cannot find."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from dp.errors import InvalidParameterError
from dp.events import Gaussian
from dp.ledger.audit import AuditReport, Verdict, audit
from dp.ledger.errors import Fault, LedgerRefusedError
from dp.ledger.records import Header, Settle, decode, encode, line_hash
from dp.ledger.signing import LedgerKey
from dp.ledger.writer import Ledger
from dp.vocabulary import Relation, Unit
from tests.kit.ledger_scene import HEADER, KEY, a_ledger, a_round, changed, lines_of, rechained


def found(path: Path, **options: bytes) -> AuditReport:
    return audit([path], **options)


def faults(report: AuditReport) -> list[tuple[int, str]]:
    return [(fault.record, fault.fault) for fault in report.faults]


def test_more_than_the_budget_is_said(tmp_path: Path):
    path = tmp_path / "ledger"
    header = replace(HEADER, relation=Relation.ADD_REMOVE)
    with Ledger.create(path, header) as ledger:
        ledger.record_past(Gaussian(0.5, Relation.ADD_REMOVE, Unit.CLIENT))
        spent = ledger.spent
    report = found(path)
    assert report.verdict is Verdict.OVER_BUDGET
    assert report.total.promised == spent > 8
    with Ledger.create(tmp_path / "endless", header) as ledger:
        ledger.record_past(Gaussian(1e-160, Relation.ADD_REMOVE, Unit.CLIENT))
    report = found(tmp_path / "endless")
    assert report.releases[0].claimed is None
    assert report.total.promised == math.inf
    assert report.verdict is Verdict.OVER_BUDGET


def test_files_are_audited_together(tmp_path: Path):
    old, new = tmp_path / "old", tmp_path / "new"
    with Ledger.create(old, HEADER, KEY) as ledger:
        ledger.reserve(a_round(1))
        first = ledger.finish()
    with Ledger.create(new, HEADER, predecessors=[old]) as ledger:
        ledger.reserve(a_round(2))
        ledger.settle(1, 90)
        spent, last = ledger.spent, ledger.head
    report = audit([old, new], expected_head=first)
    assert report.verdict is Verdict.FINE
    assert (report.total.promised, report.unsettled, report.after_expected) == (spent, (2,), 3)
    assert [(release.place.file, release.place.record) for release in report.releases] == [(0, 2), (1, 2)]
    assert [(file.records, file.closed, file.key) for file in report.files] == [
        (3, True, KEY.public_key),
        (3, False, None),
    ]
    assert audit([old, new], expected_head=last).after_expected == 0
    with pytest.raises(LedgerRefusedError, match="give that one too"):
        audit([new])
    report = audit([old, old])
    assert faults(report) == [(1, Fault.CHAIN)]
    with pytest.raises(InvalidParameterError, match="paths"):
        audit([])


# --- Tampering ---


def rewrite(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"".join(change(lines_of(path))))


def swap(lines: list[bytes], i: int, j: int) -> list[bytes]:
    lines[i], lines[j] = lines[j], lines[i]
    return lines


# Records of `a_ledger(rounds=3)`: header, (reserve, settle) x 3, head: eight lines.
TAMPERINGS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int, Fault]] = {
    "a digit changed": (lambda n: [*n[:3], n[3].replace(b'"invited":100', b'"invited":101'), *n[4:]], 4, Fault.CHAIN),
    "survivors changed": (lambda n: [*n[:4], changed(n[4], survivors=99), *n[5:]], 5, Fault.CHAIN),
    "the header changed": (lambda n: [changed(n[0], budget="9/1"), *n[1:]], 1, Fault.CHAIN),
    "a hash changed": (lambda n: [*n[:3], changed(n[3], previous="00" * 32), *n[4:]], 4, Fault.CHAIN),
    "a record removed": (lambda n: n[:3] + n[4:], 3, Fault.CHAIN),
    "the header removed": (lambda n: n[1:], 1, Fault.CHAIN),
    "two records swapped": (lambda n: swap(n, 3, 4), 4, Fault.CHAIN),
    "a record repeated": (lambda n: [*n[:4], n[3], *n[4:]], 4, Fault.CHAIN),
    "a header in the middle": (
        lambda n: [*n, changed(n[0], previous=line_hash(n[-1]).hex())],
        9,
        Fault.CHAIN,
    ),
    "a signature changed": (lambda n: [*n[:7], changed(n[7], signature="00" * 64)], 8, Fault.SIGNATURE),
    "a space": (lambda n: [*n[:3], n[3].replace(b":100,", b": 100,"), *n[4:]], 4, Fault.CANONICAL_FORM),
    "a line broken in two": (
        lambda n: [*n[:3], n[3][:40], b"\n", n[3][40:], *n[4:]],
        4,
        Fault.CANONICAL_FORM,
    ),
    "two lines joined": (lambda n: [*n[:3], n[3][:-1], *n[4:]], 4, Fault.CANONICAL_FORM),
    "an unknown field": (lambda n: [*n[:3], changed(n[3], note=1), *n[4:]], 4, Fault.FIELDS),
    "a foreign schema": (lambda n: [changed(n[0], schema=3), *n[1:]], 1, Fault.SCHEMA_VERSION),
    "a foreign file": (lambda n: [b"hello\n"], 1, Fault.NOT_A_LEDGER),
    "nothing": (lambda n: [], 1, Fault.NOT_A_LEDGER),
    "something else": (lambda n: [b"{}\n"], 1, Fault.NOT_A_LEDGER),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found_and_the_bad_record_is_named(tmp_path: Path, name: str):
    change, record, fault = TAMPERINGS[name]
    path = tmp_path / "ledger"
    a_ledger(path)
    rewrite(path, change)
    report = found(path)
    assert faults(report) == [(record, fault)]
    verdicts = {Fault.SCHEMA_VERSION: Verdict.FOREIGN, Fault.NOT_A_LEDGER: Verdict.NOT_A_LEDGER}
    assert report.verdict is verdicts.get(fault, Verdict.BROKEN)
    # What stands before the first bad record is still read.
    assert report.files[0].records == (record - 1 if report.header is not None else 0)


def test_a_record_changed_before_the_last_is_the_one_that_is_named(tmp_path: Path):
    """Even where no further record says which of the two is right."""
    path = tmp_path / "ledger"
    a_ledger(path, rounds=1, key=None)
    rewrite(path, lambda lines: [lines[0], changed(lines[1], threshold=1), lines[2]])
    assert faults(found(path)) == [(2, Fault.CHAIN)]
    assert found(path).files[0].signed == 0


def test_the_last_valid_signature_is_told(tmp_path: Path):
    path = tmp_path / "ledger"
    a_ledger(path, rounds=2)
    with Ledger.open(path, KEY) as ledger:
        ledger.reserve(a_round(3))
        ledger.sign_head()
        ledger.reserve(a_round(4))
        ledger.settle(4, 80)
    assert found(path).files[0].signed == 8
    rewrite(path, lambda lines: [*lines[:7], changed(lines[7], signature="ab" * 64), *lines[8:]])
    report = found(path)
    assert faults(report) == [(8, Fault.SIGNATURE)]
    assert report.files[0].signed == 6


def test_who_removes_what_follows_a_signed_head_is_not_taken_for_its_signer(tmp_path: Path):
    path = tmp_path / "ledger"
    a_ledger(path, rounds=1)
    with Ledger.open(path, KEY) as ledger:
        ledger.reserve(a_round(2))
        ledger.settle(2, 80)
    # The reserve after the signed head (record 4) is gone.
    rewrite(path, lambda lines: [*lines[:4], lines[5]])
    report = found(path)
    assert faults(report) == [(4, Fault.CHAIN)]
    assert report.files[0].signed == 0


def test_a_torn_tail_is_reported_and_is_no_tampering(tmp_path: Path):
    path = tmp_path / "ledger"
    a_ledger(path)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"kind":"settle"')
    report = found(path)
    assert report.verdict is Verdict.FINE
    assert report.files[0].torn == 16
    assert path.read_bytes() == whole + b'{"kind":"settle"'
    path.write_bytes(whole + b"x" * 20_000)
    assert faults(found(path)) == [(9, Fault.CANONICAL_FORM)]
    path.write_bytes(whole + b"x" * 20_000 + b"\n")
    assert faults(found(path)) == [(9, Fault.CANONICAL_FORM)]


def test_a_signature_needs_a_key_and_a_key_signatures(tmp_path: Path):
    path = tmp_path / "ledger"
    a_ledger(path, rounds=1, key=None)
    lines = lines_of(path)
    signed = changed(
        b'{"kind":"head"}', previous=line_hash(lines[-1]).hex(), signature=KEY.sign_head(line_hash(lines[-1])).hex()
    )
    path.write_bytes(b"".join([*lines, signed]))
    assert faults(found(path)) == [(4, Fault.SIGNATURE)]
    close = changed(b'{"kind":"close"}', previous=line_hash(lines[-1]).hex(), signature=None)
    path.write_bytes(b"".join([*lines, close]))
    assert found(path).files[0].closed
    path.write_bytes(b"".join([*lines, close, changed(close, previous=line_hash(close).hex())]))
    assert faults(found(path)) == [(5, Fault.CHAIN)]
    a_ledger(tmp_path / "signed", rounds=1)
    lines = lines_of(tmp_path / "signed")
    close = changed(b'{"kind":"close"}', previous=line_hash(lines[-1]).hex(), signature=None)
    path.write_bytes(b"".join([*lines, close]))
    assert faults(found(path)) == [(5, Fault.SIGNATURE)]
    # A signed head is no signed close.
    close = changed(close, signature=KEY.sign_head(line_hash(lines[-1])).hex())
    path.write_bytes(b"".join([*lines, close]))
    assert faults(found(path)) == [(5, Fault.SIGNATURE)]
    close = changed(close, signature=KEY.sign_close(line_hash(lines[-1])).hex())
    path.write_bytes(b"".join([*lines, close]))
    assert found(path).verdict is Verdict.FINE


def test_a_signature_of_one_ledger_fits_no_other(tmp_path: Path):
    a_ledger(tmp_path / "one", rounds=1)
    a_ledger(tmp_path / "two", rounds=1, header=replace(HEADER, scope="two"))
    signature = json.loads(lines_of(tmp_path / "one")[-1])["signature"]
    rewrite(tmp_path / "two", lambda lines: [*lines[:-1], changed(lines[-1], signature=signature)])
    assert faults(found(tmp_path / "two")) == [(4, Fault.SIGNATURE)]


# --- What a chain cannot show ---


@pytest.mark.slow
def test_records_removed_at_the_end_are_found_against_an_anchor_alone(tmp_path: Path):
    """What is left is a whole ledger of an earlier day, as long as a signed head is left."""
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER, KEY) as ledger:
        for number in (1, 2, 3):
            ledger.reserve(a_round(number))
            ledger.settle(number, 90)
            head = ledger.sign_head()
    for left in range(9, 3, -1):
        path.write_bytes(b"".join(lines_of(path)[:-1]))
        report = found(path, expected_key=KEY.public_key)
        assert report.verdict is Verdict.FINE, left
        report = found(path, expected_head=head)
        assert report.verdict is Verdict.BROKEN
        assert faults(report) == [(left, Fault.ANCHOR)]
    path.write_bytes(b"".join(lines_of(path)[:-1]))
    assert faults(found(path, expected_key=KEY.public_key)) == [(1, Fault.SIGNATURE)]


def test_a_key_in_the_header_is_no_signature(tmp_path: Path):
    """Anybody can write somebody's public key into a header and records of his own below it."""
    path = tmp_path / "ledger"
    a_ledger(path, rounds=2)
    path.write_bytes(b"".join(lines_of(path)[:-1]))
    assert found(path).verdict is Verdict.FINE
    report = found(path, expected_key=KEY.public_key)
    assert report.verdict is Verdict.BROKEN
    assert "nothing in file 1" in str(report.faults[0])


def test_removal_after_a_signed_close_is_found_by_its_absence(tmp_path: Path):
    path = tmp_path / "ledger"
    a_ledger(path, rounds=1)
    with Ledger.open(path, KEY) as ledger:
        ledger.finish()
    assert found(path).files[0].closed
    path.write_bytes(b"".join(lines_of(path)[:-1]))
    report = found(path)
    assert report.verdict is Verdict.FINE
    assert not report.files[0].closed


def test_an_unsigned_ledger_that_was_rewritten_with_its_hashes_passes_without_an_anchor(tmp_path: Path):
    path = tmp_path / "ledger"
    head = a_ledger(path, key=None)
    # Two rounds never happened.
    path.write_bytes(rechained([lines_of(path)[0], *lines_of(path)[5:]]))
    assert found(path).verdict is Verdict.FINE
    assert faults(found(path, expected_head=head)) == [(3, Fault.ANCHOR)]


def test_a_ledger_rewritten_under_another_key_is_found_if_the_key_is_known(tmp_path: Path):
    path = tmp_path / "ledger"
    a_ledger(path, rounds=1, key=LedgerKey(bytes(32)))
    assert found(path).verdict is Verdict.FINE
    report = found(path, expected_key=KEY.public_key)
    assert faults(report) == [(1, Fault.SIGNATURE)]
    a_ledger(tmp_path / "unsigned", rounds=1, key=None)
    assert faults(found(tmp_path / "unsigned", expected_key=KEY.public_key)) == [(1, Fault.SIGNATURE)]


def test_a_ledger_may_have_grown_since_the_expected_head(tmp_path: Path):
    path = tmp_path / "ledger"
    head = a_ledger(path, rounds=2)
    with Ledger.open(path, KEY) as ledger:
        ledger.reserve(a_round(3))
        ledger.settle(3, 80)
    report = found(path, expected_head=head)
    assert (report.verdict, report.after_expected) == (Verdict.FINE, 2)
    # The head before the first record is nobody's.
    assert faults(found(path, expected_head=bytes(32))) == [(8, Fault.ANCHOR)]


# --- Other headers, and what an audit leaves alone ---


def test_another_budget_in_a_continued_file_is_a_wrong_figure(tmp_path: Path):
    old, new = tmp_path / "old", tmp_path / "new"
    with Ledger.create(old, HEADER) as ledger:
        ledger.finish()
        head = ledger.head
    new.write_bytes(encode(replace(HEADER, budget=Fraction(100)), head))
    assert faults(audit([old, new])) == [(1, Fault.FIGURE)]


def test_an_open_file_that_is_continued_is_a_wrong_figure(tmp_path: Path):
    old, new = tmp_path / "old", tmp_path / "new"
    head = a_ledger(old, rounds=1, key=None, header=HEADER)
    header, _ = decode(lines_of(old)[0], 1)
    assert isinstance(header, Header)
    new.write_bytes(encode(header, head))
    assert faults(audit([old, new])) == [(1, Fault.FIGURE)]


def test_an_audit_needs_no_writer_and_changes_nothing(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger:
        ledger.reserve(a_round(1))
        before = path.stat()
        assert found(path).unsettled == (1,)
        assert path.stat().st_mtime_ns == before.st_mtime_ns
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["ledger"]
        ledger.settle(1, 80)
    assert found(path).unsettled == ()


def test_two_settles_of_one_write_are_still_two_lines(tmp_path: Path):
    """A writer of another make may leave whole lines of a batch: each counts."""
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger:
        ledger.reserve(a_round(1))
        ledger.reserve(a_round(2))
        head = ledger.head
    first = encode(Settle(round=1, survivors=80), head)
    second = encode(Settle(round=2, survivors=80), line_hash(first))
    with path.open("ab") as file:
        file.write(first + second[:30])
    report = found(path)
    assert report.unsettled == (2,)
    assert report.files[0].torn == 30
