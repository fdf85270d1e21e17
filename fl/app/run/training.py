"""`secagg run`: a training of the user's own model, in one process over the real protocol, that survives crashes.

A round, in this order:

1. Everybody contributes, and every contribution is checked. What is wrong with the user's code is found here, before
   anything counts.
2. The journal says that the round begins. From here on it counts, whatever happens: it is never begun again.
3. The protocol runs, with fresh sessions and keys. With noise, the ledger reserves the round before anybody is asked to
   unmask and settles it after, and every client's counter has counted it before the client answered.
4. The optimiser takes its step; model, optimiser, next clip norm and the ledger's head replace the checkpoint at once.
5. The study evaluates the model, and the journal says that the round is over.

A session is never restored. After a crash between 2 and 4 the round's result is lost, the round counts, and the
training goes on with the next one; after a crash between 4 and 5 only the evaluation is made up for.
"""

import secrets
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from dp import LedgerKey
from fl.app.run.checkpoint import Checkpoint, write_model
from fl.app.run.config import RunConfig
from fl.app.run.folder import RunFolder, check_folder, ledger_key, make_folder
from fl.app.run.journal import Done, RoundRecord
from fl.app.run.opening import OpenedRun, check_model, open_run, recovered
from fl.app.run.outcome import Ended, RunReport
from fl.app.run.plan import RunPlan, plan_run
from fl.app.run.rounds import Dropouts, PlainRounds, PrivateRounds, Rounds
from fl.arrays.schema import ArraySchema, NamedArrays
from fl.fedavg import delta_schema
from fl.private.contribution import Contribution
from fl.private.plan import PrivatePlan
from fl.study import GuardedStudy, load_study
from secagg import ClientId, Stage

__all__ = ["Watcher", "run_study"]

_BEFORE_INPUT: Final = ("advertise_keys", "share_keys", "masked_input")
"""Who vanishes here is never asked for its contribution."""


class Watcher:
    """Is told how a run goes on; the base says nothing."""

    def begins(self, plan: RunPlan, finished: int) -> None:
        """The run is open, and so many of its rounds are over."""

    def note(self, text: str) -> None:
        """Something that its owner should know."""

    def training(self, round_number: int, contributed: int, clients: int) -> None:
        """So many of a round's clients have contributed."""

    def round_over(self, done: Done) -> None:
        """A round is over, or was found to be lost."""


def run_study(config: RunConfig, *, resume: bool = False, watcher: Watcher | None = None) -> RunReport:
    """Trains to the end of the plan, from the beginning or from where an earlier call was interrupted.

    Args:
        config: what was read.
        resume: go on with the run in the folder; otherwise there must be none.
        watcher: is told how it goes on.

    Raises:
        RunConfigError: there is no such plan.
        RunRefusedError: the folder or a key is not what it should be; nothing was changed.
        PlanMismatchError: configuration, checkpoint, journal and ledger do not belong together; nothing was changed.
        LedgerError, InvalidStateError: a file is locked or damaged.
        StudyError: the user's code failed.
        DPError, SecAggError, OSError: a round failed; it counts if it was begun. The run can be resumed.
    """
    watcher = Watcher() if watcher is None else watcher
    check_folder(config.folder, resume=resume)
    study = load_study(config.study.entry, config.path.parent, config.study.options)
    clients, model = study.clients(), study.initial_model()
    with ExitStack() as stack:
        if resume:
            folder = stack.enter_context(RunFolder(config.folder))
            check_model(Checkpoint.load(folder.checkpoint), model, config.optimizer)
            plan = plan_run(config, delta_schema(ArraySchema.of(model)), len(clients))
            key = None if config.ledger_key is None else ledger_key(config.ledger_key, create=False)
        else:
            plan = plan_run(config, delta_schema(ArraySchema.of(model)), len(clients))
            key = None if config.ledger_key is None else ledger_key(config.ledger_key, create=True)
            _begin(config, plan, key, clients, model)
            folder = stack.enter_context(RunFolder(config.folder))
        checkpoint = Checkpoint.load(folder.checkpoint)
        opened = open_run(folder, checkpoint, plan, clients, key, stack)
        training = _Training(config, study, clients, folder, plan, opened, checkpoint, watcher)
        ended, detail = training.go_on()
        write_model(folder.model, training.checkpoint.model)
        ledger = opened.ledger
        return RunReport(
            ended=ended,
            detail=detail,
            plan=plan,
            done=opened.journal.done,
            model=folder.model,
            ledger=None if ledger is None else folder.ledger,
            head=None if ledger is None else ledger.head,
            public_key=None if key is None else key.public_key,
            epsilon=None if ledger is None else ledger.spent,
        )


def _begin(
    config: RunConfig, plan: RunPlan, key: LedgerKey | None, clients: tuple[ClientId, ...], model: NamedArrays
) -> None:
    """Makes the folder of a new run."""

    def first(run: bytes, head: bytes | None) -> Checkpoint:
        return Checkpoint(
            run=run,
            plan_digest=plan.digest,
            round_number=0,
            clip=float(plan.clip),
            head=head,
            model=model,
            optimizer=config.optimizer.start(model),
            record=None,
        )

    private = isinstance(plan, PrivatePlan)
    make_folder(
        config.folder,
        plan_json=plan.to_json(),
        plan_digest=plan.digest,
        clients=clients,
        identified=private and plan.session.active,
        header=plan.header() if isinstance(plan, PrivatePlan) else None,
        key=key,
        first=first,
    )


class _Training:
    """The loop over the rounds, and what it changes: the checkpoint, in memory as on the disk."""

    def __init__(
        self,
        config: RunConfig,
        study: GuardedStudy,
        clients: tuple[ClientId, ...],
        folder: RunFolder,
        plan: RunPlan,
        opened: OpenedRun,
        checkpoint: Checkpoint,
        watcher: Watcher,
    ) -> None:
        self.checkpoint = checkpoint
        self._config = config
        self._study = study
        self._clients = clients
        self._folder = folder
        self._plan = plan
        self._opened = opened
        self._journal = opened.journal
        self._watcher = watcher
        self._rounds = self._make_rounds()

    def go_on(self) -> tuple[Ended, str]:
        """Runs the rounds that are left; returns how it ended."""
        self._watcher.begins(self._plan, self._journal.finished)
        torn = None if self._opened.ledger is None else self._opened.ledger.torn
        if torn is not None:
            self._watcher.note(f"a crash left {len(torn.content)} bytes of a record, now in {torn.moved_to}")
        found = recovered(self.checkpoint, self._opened, len(self._clients))
        if found is not self.checkpoint:
            self._save(found)
        record = self.checkpoint.record
        if record is not None and self._journal.finished < record.round:
            self._round_over(record)
        while self.checkpoint.round_number < self._plan.rounds:
            number = self.checkpoint.round_number + 1
            excess = self._rounds.exhausted(number, self.checkpoint.clip)
            if excess is not None:
                return "budget exhausted", f"before round {number}: {excess}"
            self._round(number)
        if self._opened.ledger is not None and not self._opened.closed:
            self._opened.ledger.finish()
        return "finished", ""

    def _round(self, number: int) -> None:
        before = self.checkpoint
        dropouts = _drawn(self._clients, self._config.session.simulated_dropout, self._plan)
        contributions = self._contributions(number, dropouts)
        self._journal.begin(number)
        result = self._rounds.run(number, before.clip, contributions, dropouts, before.model_digest())
        optimizer, model = before.optimizer, before.model
        if result.mean is not None:
            optimizer, model = self._config.optimizer.step(optimizer, model, result.mean)
        ledger = self._opened.ledger
        self._save(
            replace(
                before,
                round_number=number,
                clip=result.clip,
                head=None if ledger is None else ledger.head,
                model=model,
                optimizer=optimizer,
                record=result.record,
            )
        )
        self._round_over(result.record)

    def _contributions(self, number: int, dropouts: Dropouts) -> dict[ClientId, Contribution]:
        """Asks all clients that will be there, before the round begins."""
        absent = frozenset[ClientId]().union(*(dropouts[stage] for stage in _BEFORE_INPUT))
        asked = [client for client in self._clients if client not in absent]
        model, clip = self.checkpoint.model, self.checkpoint.clip
        given: dict[ClientId, Contribution] = {}
        for client in asked:
            given[client] = self._study.contribute(client, model, number, lambda one: self._rounds.checked(one, clip))
            self._watcher.training(number, len(given), len(asked))
        return given

    def _save(self, checkpoint: Checkpoint) -> None:
        checkpoint.save(self._folder.checkpoint)
        self.checkpoint = checkpoint

    def _round_over(self, record: RoundRecord) -> None:
        """Evaluates what is in the checkpoint, and says in the journal that its round is over."""
        moved = record.outcome == "released"
        metrics = self._study.evaluate(self.checkpoint.model, record.round) if moved else {}
        self._watcher.round_over(self._journal.finish(record, metrics))

    def _make_rounds(self) -> Rounds:
        plan, ledger, clients = self._plan, self._opened.ledger, self._clients
        if not isinstance(plan, PrivatePlan):
            return PlainRounds(plan, clients)
        if ledger is None or self._config.privacy is None:  # pragma: no cover - a run with noise has both
            raise TypeError("a run with noise has a ledger")
        return PrivateRounds(
            plan,
            ledger,
            self._opened.counters,
            self._folder.read_identities(clients) if plan.session.active else None,
            self._config.privacy.denominator,
            sign=ledger.header.key is not None,
        )


def _drawn(clients: tuple[ClientId, ...], probability: float, plan: RunPlan) -> dict[str, frozenset[ClientId]]:
    """Draws who vanishes in a round, and at which stage."""
    stages = plan.session.adversary.stages
    leaving: dict[str, set[ClientId]] = {stage: set() for stage in Stage}
    for client in clients:
        if secrets.randbelow(2**53) < probability * 2**53:
            leaving[secrets.choice(stages)].add(client)
    return {stage: frozenset(gone) for stage, gone in leaving.items()}
