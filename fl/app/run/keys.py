"""The files of secret keys and of a salt: 64 hexadecimal digits and a line feed, which only their owner may read."""

import os
import re
import stat
from pathlib import Path
from typing import Final

from dp.durable import create_file, sync_folder
from dp.ledger import LedgerKey
from fl.app.run.errors import RunRefusedError
from secagg import Identity

__all__ = ["create_identity", "create_ledger_key", "create_salt", "read_identity", "read_ledger_key"]

_SEED: Final = re.compile(rb"[0-9a-f]{64}\n")


def create_ledger_key(path: Path) -> LedgerKey:
    """Returns the key of a file; makes one first if there is none.

    Raises:
        RunRefusedError: the file is there and holds no key, or others may read it.
        OSError: it cannot be read or written.
    """
    if path.exists():
        return read_ledger_key(path)
    key = LedgerKey.generate()
    _write_seed(path, key.seed())
    sync_folder(path.parent)
    return key


def read_ledger_key(path: Path) -> LedgerKey:
    """Returns the key of a file.

    Raises:
        RunRefusedError: the file is not there, holds no key, or others may read it.
        OSError: it cannot be read.
    """
    return LedgerKey(_read_seed(path))


def create_salt(path: Path) -> bytes:
    """Returns the salt of a file, 32 bytes; makes one first if there is none.

    Raises:
        RunRefusedError: the file is there and holds none, or others may read it.
        OSError: it cannot be read or written.
    """
    if not path.exists():
        _write_seed(path, os.urandom(32))
        sync_folder(path.parent)
    return _read_seed(path)


def create_identity(path: Path) -> None:
    """Makes a client's long-term key. The caller syncs the folder.

    Raises:
        OSError: the file is there, or cannot be written.
    """
    _write_seed(path, Identity.generate().seed())


def read_identity(path: Path) -> Identity:
    """Returns a client's long-term key.

    Raises:
        RunRefusedError: the file is not there, holds no key, or others may read it.
        OSError: it cannot be read.
    """
    return Identity(_read_seed(path))


def _write_seed(path: Path, seed: bytes) -> None:
    create_file(path, seed.hex().encode("ascii") + b"\n")


def _read_seed(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(66)
    except FileNotFoundError:
        raise RunRefusedError(path, "the key is not there") from None
    if not stat.S_ISREG(mode) or mode & 0o077:
        raise RunRefusedError(path, "a key is a file that nobody but its owner may read: chmod 600")
    if _SEED.fullmatch(content) is None:
        raise RunRefusedError(path, "a key is 64 hexadecimal digits and a line feed")
    return bytes.fromhex(content.decode("ascii"))
