"""dp.ledger.appender: the records of one call are written as a whole, and the file and the memory agree."""

from fractions import Fraction
from pathlib import Path

import pytest

from dp import Composed, DiscreteGaussian, Gaussian
from dp.errors import BudgetExceededError, InvalidParameterError
from dp.ledger import NO_HEAD, Ledger, LedgerRefusedError, line_hash
from tests.kit.ledger_scene import HEADER, a_round

SEVERAL = Composed(
    tuple(
        (event, 1)
        for event in (
            DiscreteGaussian(Fraction(10**6), 4, HEADER.relation, HEADER.unit),
            Gaussian(1000.0, HEADER.relation, HEADER.unit),
        )
    )
)


def test_heads_and_lines_are_those_of_the_file(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger:
        heads = [ledger.head, ledger.reserve(a_round(1)), ledger.spend(SEVERAL)]
        lines = tuple(path.read_bytes().splitlines(keepends=True))
        assert len(lines) == 4
        assert heads == [line_hash(lines[0]), line_hash(lines[1]), line_hash(lines[3])]
        assert ledger.lines_since(NO_HEAD) == lines
        assert ledger.lines_since(heads[1]) == lines[2:]
        assert ledger.lines_since(heads[2]) == ()
        assert ledger.had(line_hash(lines[2]))
        assert not ledger.had(b"x" * 32)
        with pytest.raises(InvalidParameterError, match="head"):
            ledger.lines_since(b"x" * 32)


def test_a_release_that_is_refused_changes_neither_file_nor_memory(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger:
        before, head, spent = path.read_bytes(), ledger.head, ledger.spent
        with pytest.raises(BudgetExceededError):
            ledger.spend(Composed(((SEVERAL, 1), (Gaussian(0.1, HEADER.relation, HEADER.unit), 1))))
        assert (path.read_bytes(), ledger.head, ledger.spent) == (before, head, spent)


def test_after_an_append_that_failed_the_ledger_is_opened_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger:
        with monkeypatch.context() as patch:

            def full(*_: object) -> None:
                raise OSError(28, "No space left on device")

            patch.setattr("dp.ledger.file.LedgerFile.append", full)
            with pytest.raises(OSError, match="No space"):
                ledger.reserve(a_round(1))
        with pytest.raises(LedgerRefusedError, match="anew"):
            ledger.reserve(a_round(1))
    with Ledger.open(path) as ledger:
        assert ledger.reserve(a_round(1)) == ledger.head
