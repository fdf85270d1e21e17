"""Several files of one ledger, read as one."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from dp.ledger.audit import audit
from dp.ledger.errors import BadRecordError, Fault, LedgerRefusedError
from dp.ledger.records import decode
from dp.ledger.writer import Ledger
from tests.kit.ledger_scene import HEADER, KEY, a_ledger, a_round, changed, lines_of, rechained


def test_a_ledger_continues_another_with_all_that_was_spent(tmp_path: Path):
    old, new = tmp_path / "old", tmp_path / "new"
    with Ledger.create(old, HEADER) as ledger:
        ledger.reserve(a_round(1))
        ledger.reserve(a_round(2))
        ledger.settle(1, 80)
        ledger.finish()
        spent, head = ledger.spent, ledger.head
    with Ledger.create(new, HEADER, KEY, predecessors=[old]) as ledger:
        assert ledger.spent == spent
        ledger.settle(2, 90)
        with pytest.raises(LedgerRefusedError, match="rounds rise"):
            ledger.reserve(a_round(2))
        ledger.reserve(a_round(3))
        both = ledger.spent
        assert len(ledger.lines_since(head)) == 3
    assert both > spent
    assert decode(lines_of(new)[0], 1)[1] == head
    with pytest.raises(LedgerRefusedError, match="give that one too, first"):
        Ledger.open(new, KEY)
    with Ledger.open(new, KEY, predecessors=[old]) as ledger:
        assert ledger.spent == both
        assert ledger.unsettled == (3,)
        assert len(ledger.lines_since(head)) == 3


def test_an_open_ledger_is_not_continued(tmp_path: Path):
    a_ledger(tmp_path / "old", rounds=1, key=None)
    with pytest.raises(LedgerRefusedError, match="not closed"):
        Ledger.create(tmp_path / "new", HEADER, predecessors=[tmp_path / "old"])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "change",
    [{"scope": "other"}, {"delta": Fraction(1, 10)}, {"budget": Fraction(9)}, {"colluders": 0}],
    ids=str,
)
def test_a_continued_ledger_keeps_the_budget_and_its_assumptions(tmp_path: Path, change: dict[str, Any]):
    with Ledger.create(tmp_path / "old", HEADER) as ledger:
        ledger.finish()
    with pytest.raises(LedgerRefusedError, match="another header"):
        Ledger.create(tmp_path / "new", replace(HEADER, **change), predecessors=[tmp_path / "old"])


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path):
    for name, rounds in (("one", 1), ("two", 2)):
        with Ledger.create(tmp_path / name, HEADER) as ledger:
            for number in range(rounds):
                ledger.reserve(a_round(number + 1))
            ledger.finish()
    Ledger.create(tmp_path / "next", HEADER, predecessors=[tmp_path / "one"]).close()
    with pytest.raises(BadRecordError) as refused:
        Ledger.open(tmp_path / "next", predecessors=[tmp_path / "two"])
    assert (refused.value.record, refused.value.fault) == (1, Fault.CHAIN)


@pytest.mark.parametrize("wrong", [{"epsilon": "1/10"}, {"round": 1}], ids=str)
def test_a_wrong_figure_is_told_even_where_the_file_after_it_cannot_be_read(tmp_path: Path, wrong: dict[str, object]):
    first, missing = tmp_path / "first", tmp_path / "missing"
    with Ledger.create(first, HEADER) as ledger:
        ledger.reserve(a_round(1))
        ledger.reserve(a_round(2))
        ledger.finish()
    for read in (
        lambda: audit([first, missing]),
        lambda: Ledger.create(tmp_path / "new", HEADER, None, [first, missing]),
    ):
        with pytest.raises(FileNotFoundError, match="missing"):
            read()
    header, one, two, close = lines_of(first)
    first.write_bytes(rechained([header, one, changed(two, **wrong), close]))
    report = audit([first, missing])
    assert [(fault.record, fault.fault) for fault in report.faults] == [(3, Fault.FIGURE)]
    assert len(report.files) == len(report.releases) == 1
    with pytest.raises(BadRecordError):
        Ledger.create(tmp_path / "new", HEADER, None, [first, missing])
