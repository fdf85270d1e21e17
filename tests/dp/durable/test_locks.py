"""dp.durable.locks: a lock is one process's, and dies with it; tests/reported forks ledgers."""

import os
from pathlib import Path

import pytest

from dp.durable import FileLock, check_lockable, locks
from dp.errors import FileLockedError


def lock(path: Path) -> FileLock:
    return FileLock(path / "lock", guarded=path, reason="somebody is here")


def test_a_second_one_is_refused_until_the_first_is_closed(tmp_path: Path):
    with lock(tmp_path), pytest.raises(FileLockedError, match="somebody is here"):
        lock(tmp_path)
    first = lock(tmp_path)
    first.close()
    first.close()
    lock(tmp_path).close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_neither_holds_it_nor_frees_it(tmp_path: Path):
    held = lock(tmp_path)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        held.close()
        os.read(reading, 1)
        os._exit(0)
    try:
        with pytest.raises(FileLockedError):
            lock(tmp_path)
        held.close()
        # The child lives on.
        lock(tmp_path).close()
    finally:
        os.write(writing, b"x")
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)


def test_a_system_without_locks_is_refused_before_anything_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setattr(locks, "msvcrt", None)
    with pytest.raises(FileLockedError, match="neither flock nor"):
        check_lockable(tmp_path)
    with pytest.raises(FileLockedError):
        lock(tmp_path)
    assert list(tmp_path.iterdir()) == []
