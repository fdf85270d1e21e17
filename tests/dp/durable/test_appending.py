"""Files that survive crashes; what a ledger makes of them is in `tests/dp/ledger/test_file.py`."""

import os
import pickle
from pathlib import Path

import pytest

from dp.durable import AppendFile, FileLock, create_file, replace_file, write_from
from dp.errors import FileLockedError, FileRefusedError


def appending(path: Path, *, create: bool = False) -> AppendFile:
    return AppendFile(path, noun="journal", longest=16, create=create)


def test_what_was_appended_is_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with appending(path, create=True) as file:
        file.append(b"one\n")
        file.append(b"two\nthree\n")
        assert file.read_from(4) == (b"two\n", b"three\n")
    assert path.read_bytes() == b"one\ntwo\nthree\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with appending(path, create=True), pytest.raises(FileLockedError, match="has the journal open") as error:
        appending(path)
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)
    appending(path).close()


def test_a_torn_line_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"whole\ntorn")
    with appending(path) as file:
        assert file.torn is not None
        assert (file.torn.content, file.torn.moved_to) == (b"torn", tmp_path / "file.torn")
    assert path.read_bytes() == b"whole\n"
    assert (tmp_path / "file.torn").read_bytes() == b"torn\n"


@pytest.mark.parametrize("content", [b"x" * 17, b"whole\n" + b"x" * 17])
def test_more_than_one_line_can_leave_is_no_torn_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(FileRefusedError, match="far more bytes"):
        appending(path)
    assert path.read_bytes() == content


def test_a_new_file_takes_no_place(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"whole\n")
    with pytest.raises(FileRefusedError, match="a new journal is refused: .* holds one already") as error:
        appending(path, create=True)
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)
    with pytest.raises(FileExistsError):
        create_file(path, b"other\n")
    assert path.read_bytes() == b"whole\n"


def test_after_a_failed_sync_nothing_is_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: int) -> None:
        raise OSError("disk")

    with appending(tmp_path / "file", create=True) as file:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            with pytest.raises(OSError, match="disk"):
                file.append(b"one\n")
        with pytest.raises(FileRefusedError, match="open the journal anew"):
            file.append(b"two\n")
    with pytest.raises(FileRefusedError, match="the journal is closed"):
        file.append(b"three\n")


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, [b"one", b" two"])
    assert path.read_bytes() == b"one two"
    assert path.stat().st_mode & 0o777 == 0o600

    def parts() -> object:
        yield b"three"
        raise RuntimeError("crash")

    with pytest.raises(RuntimeError):
        replace_file(path, parts())  # type: ignore[arg-type]
    assert path.read_bytes() == b"one two"


def test_a_known_tail_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    create_file(path, b"one\ntorn, and longer")
    write_from(path, 4, b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_lock_is_held_until_it_is_closed(tmp_path: Path) -> None:
    place = tmp_path / "lock"
    with FileLock(place, guarded=tmp_path, reason="busy") as held:
        with pytest.raises(FileLockedError, match="busy") as error:
            FileLock(place, guarded=tmp_path, reason="busy")
        assert error.value.path == tmp_path
        held.close()
        FileLock(place, guarded=tmp_path, reason="busy").close()
