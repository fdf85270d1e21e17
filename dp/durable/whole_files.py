"""Files as a whole: replaced, made anew, or changed from a known place on; and the names of a folder."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from dp.errors import FileRefusedError

__all__ = ["create_file", "replace_file", "sync_folder", "write_from"]

_FLAGS: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)


def replace_file(path: Path, parts: Iterable[bytes], *, mode: int = 0o600) -> None:
    """Writes a file in place of the one before, as a whole or not at all.

    The new content is complete on the disk, as FILE.new, before it takes the name, and the name before this returns.
    FILE.new is made anew: whatever has that name, as after a crash, is removed, and a link is not followed.

    Args:
        path: of the file.
        parts: its content, one after another.
        mode: the permissions of the file.

    Raises:
        FileRefusedError: somebody else is writing FILE.new at the same time.
        OSError: the disk refused. The file is the old one or the new one.
    """
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    try:
        written = _write_new(fresh, parts, mode)
    except FileExistsError:
        raise FileRefusedError(f"a new {path.name}", f"somebody else writes {fresh} at the same time") from None
    if not os.path.samestat(written, fresh.lstat()):
        raise FileRefusedError(f"a new {path.name}", f"{fresh} is no longer the file that was written")
    fresh.replace(path)
    sync_folder(path.parent)


def create_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Writes a file that must not exist; its content is on the disk when this returns, its name after `sync_folder`.

    Raises:
        FileExistsError: it exists.
        OSError: the disk refused; the file is not there.
    """
    _write_new(path, (content,), mode)


def write_from(path: Path, start: int, content: bytes) -> None:
    """Writes to an existing file from a place on, and cuts what was there; it is on the disk when this returns.

    Raises:
        FileRefusedError: the file ends before that place, so it is not the one that the caller knows.
        OSError: the disk refused. What is before `start` is as it was.
    """
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        if size < start:
            raise FileRefusedError("a change", f"{path} has {size} bytes, and had at least {start}")
        file.truncate(start)
        file.seek(start)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Makes the names of a folder's files durable: a new file, or one that was renamed."""
    # Windows opens no folders, and writes names itself.
    if os.name == "nt":  # pragma: no cover
        return
    descriptor = os.open(folder, os.O_RDONLY | _FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_new(path: Path, parts: Iterable[bytes], mode: int) -> os.stat_result:
    """Writes a file that must not exist, and returns its status; a failed one is removed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _FLAGS, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            return os.fstat(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
