"""The folder of a run: everything that a run has to remember, made as a whole and used by one process at a time.

    plan.json        the plan, as its `to_json` writes it
    rounds.jsonl     the journal
    checkpoint       model, optimiser, clip norm, and the ledger's head after the last round that counts
    ledger.jsonl     the privacy ledger               (with noise)
    counters/ID      each client's own round counter  (with noise)
    identities/ID    each client's long-term key      (with noise, against a lying server)
    model.npz        the model, for other programs; written at the end
    lock             held by the process that works on the run

A new run is made in a folder beside it, which then takes its name: a crash leaves all of a run or none. In a deployment
identities and counters are on the clients' own disks. Here all parties are one process, and the folder is a secret
where there are identities in it.
"""

import secrets
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Self

from dp.durable import FileLock, replace_file, sync_folder
from dp.ledger import Ledger, LedgerKey, RoundCounter
from fl.app.run.checkpoint import Checkpoint
from fl.app.run.errors import RunRefusedError
from fl.app.run.journal import Journal
from fl.app.run.keys import create_identity, read_identity
from fl.app.run.plan import RunPlan
from fl.arrays.schema import NamedArrays
from fl.private import PrivatePlan
from fl.training.optimizer_state import OptimizerState
from secagg import ClientId, Identity

__all__ = ["RunFolder", "check_folder", "make_folder"]


def check_folder(path: Path, *, resume: bool) -> None:
    """Checks that a folder holds a run, or that one can begin there.

    Raises:
        RunRefusedError: there is none to resume; or there is one, or something else, where one shall begin.
        OSError: the folder cannot be read.
    """
    empty = not path.exists() or (path.is_dir() and not any(path.iterdir()))
    if resume and empty:
        reason = "there is no run to resume here. If there was one, what it has spent stays spent: find its folder"
        raise RunRefusedError(path, reason)
    if resume and not (path / "checkpoint").is_file():
        raise RunRefusedError(path, "this is no folder of a run, or not all of one")
    if not resume and not empty:
        holds = "a run already: say --resume to go on with it" if (path / "checkpoint").exists() else "something else"
        raise RunRefusedError(path, f"it holds {holds}")


def make_folder(
    path: Path,
    *,
    plan: RunPlan,
    key: LedgerKey | None,
    clients: Collection[ClientId],
    model: NamedArrays,
    optimizer: OptimizerState,
) -> None:
    """Makes the folder of a new run.

    Args:
        path: of the folder; absent or empty.
        plan: the run's.
        key: signs the ledger; None leaves it unsigned.
        clients: the ids.
        model: the first global model.
        optimizer: the server's optimiser, at its start.

    Raises:
        RunRefusedError: another run began in the folder meanwhile.
        OSError: the disk refused; nothing is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    run = secrets.token_bytes(16)
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        paths = RunPaths(fresh)
        replace_file(paths.plan, [plan.to_json().encode("ascii")])
        head = _make_private_files(paths, plan, key, clients) if isinstance(plan, PrivatePlan) else None
        Journal.create(paths.journal, run, plan_digest=plan.digest, clients=tuple(clients))
        first = Checkpoint(
            run=run,
            plan_digest=plan.digest,
            round_number=0,
            clip=float(plan.clip),
            head=head,
            model=model,
            optimizer=optimizer,
            record=None,
        )
        first.save(paths.checkpoint)
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
        FileLockedError: another process is at it.
        OSError: it cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._lock = FileLock(folder / "lock", guarded=folder, reason="another process is at this run")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def read_identities(self, clients: Collection[ClientId]) -> dict[ClientId, Identity]:
        """Returns each client's long-term key.

        Raises:
            RunRefusedError: one is missing, damaged, or readable by others.
        """
        return {client: read_identity(self.identities / str(client)) for client in clients}

    def read_counters(self, clients: Collection[ClientId], scope: str, rounds: int) -> dict[ClientId, RoundCounter]:
        """Returns each client's counter.

        Raises:
            LedgerRefusedError: one is damaged, or of another scope or plan.
        """
        return {client: RoundCounter(self.counters / str(client), scope, rounds) for client in clients}


def _make_private_files(
    paths: RunPaths, plan: PrivatePlan, key: LedgerKey | None, clients: Collection[ClientId]
) -> bytes:
    """Makes what only a run with noise has; returns the ledger's head."""
    if plan.session.active:
        paths.identities.mkdir()
        for client in clients:
            create_identity(paths.identities / str(client))
        sync_folder(paths.identities)
    paths.counters.mkdir()
    with Ledger.create(paths.ledger, plan.header(), key) as ledger:
        return ledger.head
