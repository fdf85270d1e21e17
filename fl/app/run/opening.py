"""Opening a run, new or resumed: what comes back is complete, and nobody asks again which of the two it is.

A new run is made on the disk, and is then opened as any other. Whatever does not belong together is refused before
anything is changed.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property

from dp import InvalidParameterError, Ledger, LedgerKey, RoundCounter
from fl.app.run.checkpoint import Checkpoint
from fl.app.run.config import RunConfig
from fl.app.run.folder import RunFolder, check_folder, make_folder
from fl.app.run.guarded_study import GuardedStudy, load_study
from fl.app.run.journal import Journal
from fl.app.run.keys import create_ledger_key, read_ledger_key
from fl.app.run.matching import (
    LedgerTail,
    check_counters,
    check_files,
    check_journal,
    check_ledger,
    check_model,
    check_takes_rounds,
)
from fl.app.run.plan import RunPlan, check_same_plan, plan_run
from fl.arrays.schema import ArraySchema, NamedArrays
from fl.errors import PlanMismatchError
from fl.fedavg import delta_schema
from fl.private import PrivatePlan
from secagg import ClientId, Identity

__all__ = ["OpenedPrivacy", "OpenedRun", "open_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedPrivacy:
    """What only a run with noise has.

    Attributes:
        plan: the run's.
        ledger: open for writing.
        tail: what the ledger held after the checkpoint's head when the run was opened.
        counters: each client's own.
        identities: each client's long-term key; None where the plan does not defend against a lying server.
    """

    plan: PrivatePlan
    ledger: Ledger
    tail: LedgerTail
    counters: Mapping[ClientId, RoundCounter]
    identities: Mapping[ClientId, Identity] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRun:
    """A run whose files belong together.

    Attributes:
        config: what was read.
        study: the user's data and model.
        clients: the ids, sorted.
        plan: what every client accepts.
        folder: locked.
        checkpoint: as it was when the run was opened.
        journal: which rounds there were.
        key: signs the ledger; None if it is not signed.
        privacy: ledger, counters and identities; None in a run without noise.
    """

    config: RunConfig
    study: GuardedStudy
    clients: tuple[ClientId, ...]
    plan: RunPlan
    folder: RunFolder
    checkpoint: Checkpoint
    journal: Journal
    key: LedgerKey | None
    privacy: OpenedPrivacy | None

    @property
    def ledger(self) -> Ledger | None:
        """The ledger; None in a run without noise."""
        return None if self.privacy is None else self.privacy.ledger


@contextmanager
def open_run(config: RunConfig, *, resume: bool) -> Iterator[OpenedRun]:
    """Opens the run of a configuration, which no other process can open until the context ends.

    Args:
        config: what was read.
        resume: open the run in the folder; otherwise there must be none, and one is made.

    Raises:
        RunConfigError: there is no such plan.
        RunRefusedError: the folder or a key is not what it should be, or the ledger takes no more rounds.
        PlanMismatchError: something belongs to another plan or run, or was restored from a copy; nothing was changed.
        FileLockedError: another process is at the run.
        LedgerError, InvalidStateError: a file is damaged.
        StudyError: the user's code failed.
        OSError: a file cannot be read or written.
    """
    check_folder(config.folder, resume=resume)
    with ExitStack() as stack:
        study = stack.enter_context(load_study(config.study.entry, config.path.parent, config.study.options))
        own = [] if config.plain is None else config.plain.clips
        study.declare(left_out=config.study.left_out, averaged=[*config.study.averaged, *own])
        wanted = _Wanted(config, study.clients(), study.initial_model())
        if not resume:
            _make(wanted)
        folder = stack.enter_context(RunFolder(config.folder))
        yield _opened(wanted, study, folder, stack)


@dataclass(frozen=True, eq=False)
class _Wanted:
    """What configuration and study ask for today."""

    config: RunConfig
    clients: tuple[ClientId, ...]
    model: NamedArrays

    @cached_property
    def plan(self) -> RunPlan:
        """Made when it is first needed: after another model was refused as such."""
        return plan_run(self.config, delta_schema(ArraySchema.of(self.model)), len(self.clients))


def _make(wanted: _Wanted) -> None:
    """Makes a new run on the disk."""
    config, plan = wanted.config, wanted.plan
    make_folder(
        config.folder,
        plan=plan,
        key=None if config.ledger_key is None else create_ledger_key(config.ledger_key),
        clients=wanted.clients,
        model=wanted.model,
        optimizer=config.optimizer.start(wanted.model),
    )


def _opened(wanted: _Wanted, study: GuardedStudy, folder: RunFolder, stack: ExitStack) -> OpenedRun:
    """Reads the files of a run, and holds them against each other and against what is asked for."""
    config, clients = wanted.config, wanted.clients
    checkpoint = Checkpoint.load(folder.checkpoint)
    check_model(checkpoint, wanted.model, config.optimizer)
    plan = wanted.plan
    key = None if config.ledger_key is None else read_ledger_key(config.ledger_key)
    check_files(folder, plan)
    check_same_plan(folder.plan.read_bytes().decode("ascii", "replace"), plan)
    journal = Journal(folder.journal)
    check_journal(journal, checkpoint, plan, clients)
    privacy: OpenedPrivacy | None = None
    if isinstance(plan, PrivatePlan):
        counters = folder.read_counters(clients, plan.scope, plan.rounds)
        ledger = stack.enter_context(_ledger(folder, key))
        tail = check_ledger(ledger, journal, checkpoint, plan)
        check_counters(counters, ledger=ledger, journal=journal, checkpoint=checkpoint, plan=plan)
        check_takes_rounds(folder, tail, journal, plan)
        identities = folder.read_identities(clients) if plan.session.active else None
        privacy = OpenedPrivacy(plan=plan, ledger=ledger, tail=tail, counters=counters, identities=identities)
    return OpenedRun(
        config=config,
        study=study,
        clients=clients,
        plan=plan,
        folder=folder,
        checkpoint=checkpoint,
        journal=journal,
        key=key,
        privacy=privacy,
    )


def _ledger(folder: RunFolder, key: LedgerKey | None) -> Ledger:
    try:
        return Ledger.open(folder.ledger, key)
    except InvalidParameterError as error:
        offered = "none" if key is None else key.public_key.hex()
        raise PlanMismatchError("ledger key", offered, "the one in the ledger's header, if it has one") from error
