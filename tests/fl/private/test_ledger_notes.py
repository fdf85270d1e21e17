"""fl.private.ledger_notes: what a ledger says of rounds beside their privacy, refused before a round is begun."""

from pathlib import Path
from typing import Any

import pytest

from dp import InvalidParameterError, Ledger, audit
from dp.ledger import MemberForm
from fl.private import LedgerNotes
from tests.kit.ledger_scene import HEADER, a_round

IDS = tuple(range(1, 101))
SALT = bytes(range(16))


def settled(path: Path, notes: LedgerNotes) -> Any:
    with Ledger.create(path, HEADER) as ledger:
        ledger.reserve(notes.about(a_round(1)))
        notes.settle(ledger, 1, invited=IDS, survivors=IDS[:80])
    return audit([path])


def test_a_round_says_its_label_run_and_evidence(tmp_path: Path):
    report = settled(tmp_path / "ledger", LedgerNotes(label="a mean", run=b"run 1", evidence=bytes(32)))
    (release,) = report.releases
    assert (release.label, release.run, release.evidence) == ("a mean", b"run 1", bytes(32))


@pytest.mark.parametrize(
    ("notes", "salt"),
    [(LedgerNotes(clients=MemberForm.IDS), None), (LedgerNotes(clients=MemberForm.SALTED_HASHES, salt=SALT), SALT)],
    ids=["ids", "hashes"],
)
def test_who_was_in_the_sum_can_be_asked(tmp_path: Path, notes: LedgerNotes, salt: bytes | None):
    report = settled(tmp_path / "ledger", notes)
    assert len(report.participation(80, salt=salt).inside) == 1
    assert len(report.participation(81, salt=salt).inside) == 0


def test_without_clients_the_ledger_says_how_many_and_where_in_the_list(tmp_path: Path):
    report = settled(tmp_path / "ledger", LedgerNotes())
    assert report.cohorts == {}
    assert report.releases[0].survivors == 80


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"salt": SALT}, "salt"),
        ({"clients": MemberForm.SALTED_HASHES}, "salt"),
        ({"clients": MemberForm.SALTED_HASHES, "salt": b"short"}, "salt"),
        ({"clients": MemberForm.IDS, "salt": SALT}, "salt"),
        ({"clients": "ids and more"}, "clients"),
    ],
)
def test_notes_that_do_not_fit_are_refused(given: dict[str, Any], name: str):
    with pytest.raises(InvalidParameterError) as refused:
        LedgerNotes(**given)
    assert refused.value.parameter == name
    assert SALT.hex() not in str(refused.value)


def test_the_salt_is_not_shown():
    assert "salt=" not in repr(LedgerNotes(clients=MemberForm.SALTED_HASHES, salt=SALT))
