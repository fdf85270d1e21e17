"""The file: one writer, durable appends, torn tails."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dp.durable import locks
from dp.ledger.errors import BadRecordError, LedgerLockedError, LedgerRefusedError
from dp.ledger.file import LedgerFile, lock_exclusively, read_lines
from dp.ledger.records import MAX_LINE_BYTES
from dp.ledger.writer import Ledger
from tests.kit.ledger_scene import HEADER, KEY, a_ledger, a_round, lines_of


def test_a_second_writer_is_refused_until_the_first_has_closed(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as first:
        with pytest.raises(LedgerLockedError) as refused:
            Ledger.open(path)
        assert refused.value.path == path
        with pytest.raises(LedgerLockedError):
            Ledger.create(path, HEADER)
        first.reserve(a_round(1))
    with Ledger.open(path) as second:
        assert second.unsettled == (1,)


def test_readers_need_no_lock(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER):
        assert len(list(read_lines(path))) == 1


def test_a_ledger_cut_at_every_byte_of_its_last_record_keeps_all_others(tmp_path: Path):
    whole = tmp_path / "whole"
    a_ledger(whole, rounds=2, key=None)
    content, last = whole.read_bytes(), lines_of(whole)[-1]
    for cut in range(1, len(last) + 1):
        path = tmp_path / f"cut-{cut}"
        path.write_bytes(content[: len(content) - cut])
        tail = last[: len(last) - cut]
        with Ledger.open(path) as ledger:
            assert ledger.unsettled == (2,)
            if tail:
                assert ledger.torn is not None
                assert ledger.torn.content == tail
                assert ledger.torn.moved_to == tmp_path / f"cut-{cut}.torn"
                assert ledger.torn.moved_to.read_bytes() == tail + b"\n"
            else:
                assert ledger.torn is None
            # What the crash interrupted can be done again, and the file is then as if nothing had happened.
            ledger.settle(2, 82)
        assert path.read_bytes() == content
        with Ledger.open(path) as ledger:
            assert ledger.torn is None


def test_torn_tails_are_kept_one_after_the_other(tmp_path: Path):
    path = tmp_path / "ledger"
    a_ledger(path, rounds=1, key=None)
    for tail in (b'{"first', b'{"second'):
        with path.open("ab") as file:
            file.write(tail)
        Ledger.open(path).close()
    assert (tmp_path / "ledger.torn").read_bytes() == b'{"first\n{"second\n'


def test_a_header_that_a_crash_cut_off_can_be_written_again(tmp_path: Path):
    path = tmp_path / "ledger"
    Ledger.create(path, HEADER).close()
    header = path.read_bytes()
    path.write_bytes(header[:50])
    with Ledger.create(path, HEADER) as ledger:
        assert ledger.torn is not None
        assert ledger.torn.content == header[:50]
    assert path.read_bytes() == header


def test_only_a_torn_header_is_no_ledger(tmp_path: Path):
    path = tmp_path / "ledger"
    path.write_bytes(b'{"adversary"')
    with pytest.raises(BadRecordError, match="record 1: not a ledger: there is no complete record"):
        Ledger.open(path)


def test_a_tail_longer_than_any_record_is_left_alone(tmp_path: Path):
    path = tmp_path / "ledger"
    a_ledger(path, rounds=1, key=None)
    content = path.read_bytes() + b"x" * (MAX_LINE_BYTES + 1)
    path.write_bytes(content)
    with pytest.raises(LedgerRefusedError, match="far more bytes than one record"):
        Ledger.open(path)
    assert path.read_bytes() == content


def test_no_ledger_is_made_over_another(tmp_path: Path):
    path = tmp_path / "ledger"
    a_ledger(path, rounds=1, key=None)
    content = path.read_bytes()
    with pytest.raises(LedgerRefusedError, match="holds one already"):
        Ledger.create(path, HEADER)
    assert path.read_bytes() == content


def test_no_ledger_where_there_is_none_or_no_file(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        Ledger.open(tmp_path / "nothing")
    with pytest.raises(OSError, match="directory"):
        Ledger.create(tmp_path, HEADER)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LedgerRefusedError, match="no regular file"):
        LedgerFile(tmp_path / "pipe")


def test_a_line_is_written_at_once_and_synced_before_the_call_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "ledger"
    calls: list[tuple[str, int]] = []
    write, sync = os.write, os.fsync

    def writing(descriptor: int, data: bytes) -> int:
        calls.append(("write", len(data)))
        return write(descriptor, data)

    def syncing(descriptor: int) -> None:
        calls.append(
            ("sync", os.fstat(descriptor).st_size if os.path.samestat(os.fstat(descriptor), path.stat()) else -1)
        )
        sync(descriptor)

    monkeypatch.setattr(os, "write", writing)
    monkeypatch.setattr(os, "fsync", syncing)
    with Ledger.create(path, HEADER) as ledger:
        size = path.stat().st_size
        # The file's name is on the disk (-1 is the folder) before the header is acknowledged.
        assert ("sync", -1) in calls
        assert calls[-2:] == [("write", size), ("sync", size)]
        calls.clear()
        ledger.reserve(a_round(1))
        grown = path.stat().st_size
        assert calls == [("write", grown - size), ("sync", grown)]


def short_write(descriptor: int, data: bytes) -> int:
    return REAL_WRITE(descriptor, data[: len(data) // 2])


def failing_write(descriptor: int, data: bytes) -> int:
    raise OSError(28, "No space left on device")


def failing_sync(descriptor: int) -> None:
    raise OSError(5, "Input/output error")


REAL_WRITE = os.write


@pytest.mark.parametrize(
    ("name", "stand_in"), [("write", short_write), ("write", failing_write), ("fsync", failing_sync)]
)
def test_after_a_failed_append_the_ledger_has_to_be_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, stand_in: Callable[..., object]
):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger:
        ledger.reserve(a_round(1))
        head, spent = ledger.head, ledger.spent
        with monkeypatch.context() as patch:
            patch.setattr(os, name, stand_in)
            with pytest.raises(OSError, match="bytes were written|No space|Input/output"):
                ledger.reserve(a_round(2))
        assert (ledger.head, ledger.spent) == (head, spent)
        with pytest.raises(LedgerRefusedError, match="open the ledger anew"):
            ledger.settle(1, 80)
    with Ledger.open(path) as ledger:
        # What may be on the disk counts; what is torn does not.
        assert ledger.unsettled == ((1, 2) if name == "fsync" else (1,))
        assert (ledger.torn is not None) is (stand_in is short_write)
        ledger.settle(1, 80)


def test_opening_makes_durable_what_a_crashed_writer_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "ledger"
    a_ledger(path, rounds=1, key=None)
    synced: list[bool] = []
    sync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda fd: (synced.append(os.path.samestat(os.fstat(fd), path.stat())), sync(fd))[1]
    )
    Ledger.open(path).close()
    assert synced == [True]


def test_a_closed_ledger_takes_nothing_and_closes_twice(tmp_path: Path):
    ledger = Ledger.create(tmp_path / "ledger", HEADER)
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerRefusedError, match="is closed"):
        ledger.reserve(a_round(1))


def test_a_file_that_fails_to_open_keeps_no_lock(tmp_path: Path):
    path = tmp_path / "ledger"
    a_ledger(path, rounds=1, key=KEY)
    with pytest.raises(Exception, match="key"):
        Ledger.open(path)
    path.write_bytes(path.read_bytes().replace(b"skellam", b"skellum"))
    with pytest.raises(BadRecordError):
        Ledger.open(path, KEY)
    path.write_bytes(path.read_bytes().replace(b"skellum", b"skellam"))
    Ledger.open(path, KEY).close()


def test_a_platform_without_locks_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(locks, "fcntl", None)
    with pytest.raises(LedgerLockedError, match="flock"):
        lock_exclusively(0, tmp_path, "unused")
    with pytest.raises(LedgerLockedError):
        Ledger.create(tmp_path / "ledger", HEADER)
