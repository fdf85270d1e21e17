"""dp.ledger.witnesses: a number that only grows, and what is behind it is refused."""

from pathlib import Path
from typing import Any

import pytest

from dp.errors import InvalidParameterError
from dp.ledger import FileWitness, LedgerRefusedError, RolledBackError
from dp.ledger.witnesses import Witnessed


def test_a_file_keeps_the_highest_number(tmp_path: Path):
    witness = FileWitness.create(tmp_path / "witness")
    assert witness.read() == 0
    for number, kept in ((3, 3), (2, 3), (3, 3), (2**64 - 1, 2**64 - 1)):
        witness.advance(number)
        assert witness.read() == FileWitness(tmp_path / "witness").read() == kept


def test_a_disk_that_is_not_there_is_no_beginning(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        FileWitness(tmp_path / "witness")
    FileWitness.create(tmp_path / "witness")
    with pytest.raises(FileExistsError):
        FileWitness.create(tmp_path / "witness")


@pytest.mark.parametrize("content", [b"", b"1", b"-1\n", b"01\n", b"1 \n", b"1\n\n", b"9" * 100 + b"\n", b"\xff\n"])
def test_what_is_no_number_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "witness").write_bytes(content)
    with pytest.raises(LedgerRefusedError, match="holds no number"):
        FileWitness(tmp_path / "witness")


@pytest.mark.parametrize("number", [-1, 2**64, 1.0, True, None, "3"])
def test_what_no_witness_keeps_is_refused(tmp_path: Path, number: Any):
    witness = FileWitness.create(tmp_path / "witness")
    with pytest.raises(InvalidParameterError, match="to ="):
        witness.advance(number)
    assert witness.read() == 0


@pytest.mark.parametrize("witness", [5, "read", object(), FileWitness])
def test_what_is_no_witness_is_refused(witness: Any):
    if witness is FileWitness:
        with pytest.raises(InvalidParameterError, match="path"):
            FileWitness(witness)
        return
    with pytest.raises(InvalidParameterError, match="witness"):
        Witnessed("counter", witness)


class Saying:
    """A witness that says anything."""

    def __init__(self, number: Any) -> None:
        self.number = number

    def read(self) -> Any:
        return self.number

    def advance(self, to: int) -> None:
        raise AssertionError(to)


@pytest.mark.parametrize("number", [-1, None, 0.5, "1", True])
def test_a_witness_that_says_no_number_is_refused(number: Any):
    with pytest.raises(InvalidParameterError, match="witness"):
        Witnessed("counter", Saying(number)).least()


def test_only_what_is_behind_is_refused():
    held = Witnessed("ledger", Saying(7))
    for found in (7, 8):
        held.check(found, least=held.least())
    with pytest.raises(RolledBackError, match="restored from an older copy") as raised:
        held.check(6, least=held.least())
    assert (raised.value.state, raised.value.found, raised.value.witnessed) == ("ledger", 6, 7)
