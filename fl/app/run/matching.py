"""Whether the files of a run belong to each other, and to what the user asks for today.

After a round the checkpoint is written, and then the journal's line. So a checkpoint is of the last round that is over,
or of the one that was begun after it. The ledger has at most one round more than the checkpoint: the one that was
begun. Anything else was restored from a copy, or belongs to another run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from dp import Ledger, Reserve, RoundCounter
from dp.ledger import Close, decode
from fl.app.run.checkpoint import Checkpoint
from fl.app.run.errors import RunRefusedError
from fl.app.run.folder import RunFolder
from fl.app.run.journal import Journal
from fl.app.run.plan import RunPlan
from fl.arrays.schema import NamedArrays
from fl.errors import PlanMismatchError, SchemaMismatchError
from fl.private import PrivatePlan
from fl.training.optimizers import ServerOptimizer
from secagg import ClientId

__all__ = [
    "LedgerTail",
    "check_counters",
    "check_files",
    "check_journal",
    "check_ledger",
    "check_model",
    "check_takes_rounds",
]


@dataclass(frozen=True, slots=True)
class LedgerTail:
    """What a ledger holds after the checkpoint's head.

    Attributes:
        reserved: the rounds that were reserved, in order.
        closed: whether the ledger's last record was written.
    """

    reserved: tuple[int, ...]
    closed: bool


def check_model(checkpoint: Checkpoint, model: NamedArrays, optimizer: ServerOptimizer) -> None:
    """Checks that model and optimiser are of the kind that the run began with.

    The optimiser's settings are no part of that: a learning rate may be changed.

    Raises:
        PlanMismatchError: names, shapes or dtypes differ, and the first one is named; or the optimiser is another one.
    """
    if checkpoint.optimizer.kind != optimizer.kind:
        raise PlanMismatchError("optimizer", optimizer.kind, checkpoint.optimizer.kind)
    try:
        checkpoint.schema.check(model)
    except SchemaMismatchError as error:
        raise PlanMismatchError(f"model ({error.what})", error.offered, error.expected) from error


def check_files(folder: RunFolder, plan: RunPlan) -> None:
    """Checks that the files are there that every run of this kind has.

    Raises:
        PlanMismatchError: one is missing.
    """
    for path in (folder.plan, folder.journal, *([folder.ledger] if isinstance(plan, PrivatePlan) else ())):
        if not path.is_file():
            raise PlanMismatchError(path.name, "a missing file", "the one that the run began with")


def check_journal(journal: Journal, checkpoint: Checkpoint, plan: RunPlan, clients: tuple[ClientId, ...]) -> None:
    """Checks that journal and checkpoint are of one run, of this plan and of these clients.

    Raises:
        PlanMismatchError: they are not, or one of them was restored from a copy.
    """
    started = journal.started
    for what, offered, expected in (
        ("run", checkpoint.run.hex(), started.run),
        ("plan", checkpoint.plan_digest.hex(), plan.digest.hex()),
        ("plan", started.plan, plan.digest.hex()),
    ):
        if offered != expected:
            raise PlanMismatchError(what, offered, expected)
    if set(started.clients) != set(clients):
        gone, new = sorted(set(started.clients) - set(clients)), sorted(set(clients) - set(started.clients))
        raise PlanMismatchError("clients", f"without {gone[:5]}, with {new[:5]}", "those that the run began with")
    if not journal.finished <= checkpoint.round_number <= journal.begun:
        begun = "" if journal.begun == journal.finished else f" or {journal.begun}"
        offered = f"after round {checkpoint.round_number}, as of a copy that was restored"
        raise PlanMismatchError("checkpoint", offered, f"after round {journal.finished}{begun}")


def check_ledger(ledger: Ledger, journal: Journal, checkpoint: Checkpoint, plan: PrivatePlan) -> LedgerTail:
    """Checks that the ledger is this run's, and returns what it holds after the checkpoint's head.

    Raises:
        PlanMismatchError: it is another one, or checkpoint or ledger was restored from a copy.
    """
    ours = replace(plan.header(), key=ledger.header.key)
    for one in fields(ours):
        offered, expected = getattr(ledger.header, one.name), getattr(ours, one.name)
        if offered != expected:
            raise PlanMismatchError(f"ledger ({one.name})", str(offered), str(expected))
    if checkpoint.head is None or not ledger.had(checkpoint.head):
        head = "none" if checkpoint.head is None else checkpoint.head.hex()
        raise PlanMismatchError("ledger", "one that never had the checkpoint's head", head)
    tail = _tail(ledger, checkpoint.head)
    allowed = [()] if journal.begun == checkpoint.round_number else [(), (journal.begun,)]
    if tail.reserved not in allowed:
        rounds = list(tail.reserved[:5])
        behind = f"after round {checkpoint.round_number}, where the ledger goes on with rounds {rounds}"
        raise PlanMismatchError("checkpoint", behind, f"at most one round behind, {journal.begun}")
    return tail


def check_counters(
    counters: Mapping[ClientId, RoundCounter],
    *,
    ledger: Ledger,
    journal: Journal,
    checkpoint: Checkpoint,
    plan: PrivatePlan,
) -> None:
    """Checks that the clients' counters know this ledger, and that enough of them know of the last round.

    Raises:
        PlanMismatchError: ledger or counters were restored from a copy, or are gone.
    """
    for client, counter in counters.items():
        seen = counter.head
        if (seen is not None and not ledger.had(seen)) or counter.last_round > journal.begun:
            offered = f"one that client {client} has not seen so, or of fewer rounds"
            raise PlanMismatchError("ledger", offered, "the one that the clients' counters know")
    # A round is begun by all of the clients. One whose counter is gone, or an old copy, could be asked twice.
    agreed = sum(counter.last_round >= checkpoint.round_number for counter in counters.values())
    if checkpoint.record is not None and checkpoint.record.outcome == "released" and agreed <= plan.session.threshold:
        offered = f"{agreed} that know of round {checkpoint.round_number}"
        raise PlanMismatchError("counters", offered, f"more than {plan.session.threshold} of {len(counters)}")


def check_takes_rounds(folder: RunFolder, tail: LedgerTail, journal: Journal, plan: PrivatePlan) -> None:
    """Checks that a ledger is not closed while rounds are left.

    Raises:
        RunRefusedError: it is.
    """
    if tail.closed and journal.begun < plan.rounds:
        raise RunRefusedError(folder.ledger, "it is closed, and takes no more rounds")


def _tail(ledger: Ledger, head: bytes) -> LedgerTail:
    records = [decode(line, place)[0] for place, line in enumerate(ledger.lines_since(head), 1)]
    reserved = tuple(one.round for one in records if isinstance(one, Reserve))
    return LedgerTail(reserved, any(isinstance(one, Close) for one in records))
