"""Opening a run: whether its files belong to each other, and what a crash has left to be done.

After a round the checkpoint is written, and then the journal's line. So a checkpoint is of the last round that is over,
or of the one that was begun after it; and the ledger has at most one round more than the checkpoint, the one that was
begun. Anything else was restored from a copy, or belongs to another run, and is refused before anything is written.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace

from dp import InvalidParameterError, Ledger, LedgerKey, Reserve, RoundCounter
from dp.ledger import Close, decode
from fl.app.run.checkpoint import Checkpoint
from fl.app.run.folder import RunFolder, RunRefusedError
from fl.app.run.journal import Journal, RoundRecord
from fl.app.run.plan import RunPlan, check_same_plan
from fl.arrays.schema import NamedArrays
from fl.errors import PlanMismatchError, SchemaMismatchError
from fl.private.plan import PrivatePlan
from fl.training.optimizers import ServerOptimizer
from secagg import ClientId

__all__ = ["OpenedRun", "check_model", "open_run", "recovered"]


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """A run whose files belong together.

    Attributes:
        journal: which rounds there were.
        ledger: open for writing; None in a run without noise.
        counters: each client's own; none in a run without noise.
        closed: whether the ledger's last record was written.
    """

    journal: Journal
    ledger: Ledger | None
    counters: Mapping[ClientId, RoundCounter]
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


def open_run(
    folder: RunFolder,
    checkpoint: Checkpoint,
    plan: RunPlan,
    clients: tuple[ClientId, ...],
    key: LedgerKey | None,
    stack: ExitStack,
) -> OpenedRun:
    """Opens what a run has beside its checkpoint.

    Args:
        folder: locked.
        checkpoint: that of the folder.
        plan: made from the configuration.
        clients: the study's.
        key: signs the ledger.
        stack: closes the ledger.

    Raises:
        PlanMismatchError: something belongs to another plan or run, or was restored from a copy; nothing was changed.
        RunRefusedError: the ledger takes no more rounds.
        LedgerError, InvalidStateError: a file is damaged.
        OSError: a file cannot be read.
    """
    for path in (folder.plan, folder.journal, *([folder.ledger] if isinstance(plan, PrivatePlan) else ())):
        if not path.is_file():
            raise PlanMismatchError(path.name, "a missing file", "the one that the run began with")
    check_same_plan(folder.plan.read_bytes().decode("ascii", "replace"), plan)
    journal = Journal(folder.journal)
    _check_journal(journal, checkpoint, plan, clients)
    if not isinstance(plan, PrivatePlan):
        return OpenedRun(journal, None, {}, closed=False)
    counters = folder.read_counters(clients, plan.scope, plan.rounds)
    try:
        ledger = stack.enter_context(Ledger.open(folder.ledger, key))
    except InvalidParameterError as error:
        offered = "none" if key is None else key.public_key.hex()
        raise PlanMismatchError("ledger key", offered, "the one in the ledger's header, if it has one") from error
    closed = _check_ledger(ledger, journal, checkpoint, plan)
    for client, counter in counters.items():
        seen = counter.head
        if (seen is not None and not ledger.had(seen)) or counter.last_round > journal.begun:
            offered = f"one that client {client} has not seen so, or of fewer rounds"
            raise PlanMismatchError("ledger", offered, "the one that the clients' counters know")
    # A round is begun by all of the clients: whose counter is gone, or an old copy, could be asked twice.
    agreed = sum(counter.last_round >= checkpoint.round_number for counter in counters.values())
    if checkpoint.record is not None and checkpoint.record.outcome == "released" and agreed <= plan.session.threshold:
        offered = f"{agreed} that know of round {checkpoint.round_number}"
        raise PlanMismatchError("counters", offered, f"more than {plan.session.threshold} of {len(counters)}")
    if closed and journal.begun < plan.rounds:
        raise RunRefusedError(folder.ledger, "it is closed, and takes no more rounds")
    return OpenedRun(journal, ledger, counters, closed=closed)


def recovered(checkpoint: Checkpoint, opened: OpenedRun, invited: int) -> Checkpoint:
    """Returns the checkpoint in which a round that was begun, and whose result is lost, counts.

    Args:
        checkpoint: that of the folder.
        opened: the rest of the run.
        invited: clients of a round.
    """
    number = opened.journal.begun
    if number == checkpoint.round_number:
        return checkpoint
    detail, epsilon, head = "it was begun, and its result is lost", None, None
    if opened.ledger is not None and checkpoint.head is not None:
        reserved = any(number == record.round for record in _after(opened.ledger, checkpoint.head)[0])
        detail += "; it was reserved, and counts in full" if reserved else "; it was not reserved, and cost nothing"
        epsilon, head = opened.ledger.spent, opened.ledger.head
    record = RoundRecord(
        round=number, outcome="lost", detail=detail, invited=invited, clip=checkpoint.clip, epsilon=epsilon
    )
    return replace(checkpoint, round_number=number, head=head, record=record)


def _check_journal(journal: Journal, checkpoint: Checkpoint, plan: RunPlan, clients: tuple[ClientId, ...]) -> None:
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
        expected = f"after round {journal.finished}" + (
            "" if journal.begun == journal.finished else f" or {journal.begun}"
        )
        raise PlanMismatchError(
            "checkpoint", f"after round {checkpoint.round_number}, as of a copy that was restored", expected
        )


def _check_ledger(ledger: Ledger, journal: Journal, checkpoint: Checkpoint, plan: PrivatePlan) -> bool:
    """Returns whether the ledger is closed, if it is this run's."""
    ours = replace(plan.header(), key=ledger.header.key)
    for one in fields(ours):
        offered, expected = getattr(ledger.header, one.name), getattr(ours, one.name)
        if offered != expected:
            raise PlanMismatchError(f"ledger ({one.name})", str(offered), str(expected))
    if checkpoint.head is None or not ledger.had(checkpoint.head):
        head = "none" if checkpoint.head is None else checkpoint.head.hex()
        raise PlanMismatchError("ledger", "one that never had the checkpoint's head", head)
    reserves, closed = _after(ledger, checkpoint.head)
    rounds = [record.round for record in reserves]
    allowed = [[]] if journal.begun == checkpoint.round_number else [[], [journal.begun]]
    if rounds not in allowed:
        offered = f"after round {checkpoint.round_number}, where the ledger goes on with rounds {rounds[:5]}"
        raise PlanMismatchError("checkpoint", offered, f"at most one round behind, {journal.begun}")
    return closed


def _after(ledger: Ledger, head: bytes) -> tuple[list[Reserve], bool]:
    """Returns what the ledger has reserved since a head, and whether it was closed."""
    records = [decode(line, place)[0] for place, line in enumerate(ledger.lines_since(head), 1)]
    return [one for one in records if isinstance(one, Reserve)], any(isinstance(one, Close) for one in records)
