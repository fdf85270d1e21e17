"""The folder of a run: everything that a run has to remember, made as a whole and used by one process at a time.

    plan.json        the plan, as its `to_json` writes it
    rounds.jsonl     the journal
    checkpoint       model, optimiser, clip norm, and the ledger's head after the last round that counts
    ledger.jsonl     the privacy ledger               (with noise)
    counters/ID      each client's own round counter  (with noise)
    identities/ID    each client's long-term key      (with noise, against a lying server)
    model.npz        the model, for other programs; written at the end
    lock             held by the process that is at it

A new run is made in a folder beside it, which then takes its name: a crash leaves all of a run or none. In a deployment
identities and counters are on the clients' own disks; here all parties are one process, and the folder is a secret
where there are identities in it.
"""

import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from dp import Header, Ledger, LedgerKey, RoundCounter
from dp.ledger import lock_exclusively, sync_folder
from fl.app.run.checkpoint import Checkpoint, write_durably
from fl.app.run.journal import Journal
from secagg import ClientId, Identity, LocalError

__all__ = ["RunFolder", "RunRefusedError", "check_folder", "ledger_key", "make_folder"]

_SEED: Final = re.compile(rb"[0-9a-f]{64}\n")


class RunRefusedError(LocalError):
    """A folder or a key file is not what the command needs; nothing was changed. Fields: `path`, `reason`."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def check_folder(path: Path, *, resume: bool) -> None:
    """Checks that a folder holds a run, or that one can begin there.

    Raises:
        RunRefusedError: there is none to resume; or there is one, or something else, where one shall begin.
        OSError: the folder cannot be read.
    """
    empty = not path.exists() or (path.is_dir() and not any(path.iterdir()))
    if resume and empty:
        reason = (
            "there is no run to resume here. If there was one, its budget is spent as far as it was: find its folder"
        )
        raise RunRefusedError(path, reason)
    if resume and not (path / "checkpoint").is_file():
        raise RunRefusedError(path, "this is no folder of a run, or not all of one")
    if not resume and not empty:
        holds = "a run already: say --resume to go on with it" if (path / "checkpoint").exists() else "something else"
        raise RunRefusedError(path, f"it holds {holds}")


def make_folder(
    path: Path,
    *,
    plan_json: str,
    plan_digest: bytes,
    clients: Collection[ClientId],
    identified: bool,
    header: Header | None,
    key: LedgerKey | None,
    first: Callable[[bytes, bytes | None], Checkpoint],
) -> None:
    """Makes the folder of a new run.

    Args:
        path: of the folder; absent or empty.
        plan_json: the plan.
        plan_digest: its digest.
        clients: the ids.
        identified: whether clients have long-term keys.
        header: of the ledger, None in a run without one.
        key: signs the ledger.
        first: returns the checkpoint before the first round, from the run's 16 bytes and the ledger's head.

    Raises:
        RunRefusedError: meanwhile the folder is in use.
        OSError: the disk refused; nothing is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    run = secrets.token_bytes(16)
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        paths = RunPaths(fresh)
        write_durably(paths.plan, [plan_json.encode("ascii")])
        head: bytes | None = None
        if identified:
            paths.identities.mkdir()
            for client in clients:
                _write_seed(paths.identities / str(client), Identity.generate().seed())
            sync_folder(paths.identities)
        if header is not None:
            paths.counters.mkdir()
            with Ledger.create(paths.ledger, header, key) as ledger:
                head = ledger.head
        Journal.create(paths.journal, run, plan_digest, tuple(clients))
        first(run, head).save(paths.checkpoint)
        sync_folder(fresh)
        try:
            # Onto an absent or empty folder only.
            fresh.replace(path)
        except OSError as error:
            raise RunRefusedError(path, f"another run began here meanwhile ({error.strerror})") from None
        sync_folder(path.parent)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def ledger_key(path: Path, *, create: bool) -> LedgerKey:
    """Returns the key of a file: 64 hexadecimal digits and a line feed, which only its owner may read.

    Args:
        path: of the file.
        create: whether to make one where there is none.

    Raises:
        RunRefusedError: the file is not there, not such a file, or others may read it.
        OSError: it cannot be read or written.
    """
    if create and not path.exists():
        key = LedgerKey.generate()
        _write_seed(path, key.seed())
        sync_folder(path.parent)
        return key
    return LedgerKey(_read_seed(path))


class RunPaths:
    """The files of a run.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = folder / "plan.json"
        self.journal = folder / "rounds.jsonl"
        self.checkpoint = folder / "checkpoint"
        self.ledger = folder / "ledger.jsonl"
        self.counters = folder / "counters"
        self.identities = folder / "identities"
        self.model = folder / "model.npz"


class RunFolder(RunPaths):
    """A folder that is in use by this process, as a context manager.

    Args:
        folder: the run's.

    Raises:
        LedgerLockedError: another process is at it.
        OSError: it cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            lock_exclusively(self._lock, folder, "another process is at this run")
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._lock)

    def read_identities(self, clients: Collection[ClientId]) -> dict[ClientId, Identity]:
        """Returns each client's long-term key.

        Raises:
            RunRefusedError: one is missing, damaged, or readable by others.
        """
        return {client: Identity(_read_seed(self.identities / str(client))) for client in clients}

    def read_counters(self, clients: Collection[ClientId], scope: str, rounds: int) -> dict[ClientId, RoundCounter]:
        """Returns each client's counter.

        Raises:
            LedgerRefusedError: one is damaged, or of another scope or plan.
        """
        return {client: RoundCounter(self.counters / str(client), scope, rounds) for client in clients}


def _write_seed(path: Path, seed: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(seed.hex().encode("ascii") + b"\n")
        file.flush()
        os.fsync(file.fileno())


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
