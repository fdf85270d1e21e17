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

from dataclasses import replace

import msgspec

from dp.ledger import MemberForm
from fl.app.run.checkpoint import Checkpoint, write_model
from fl.app.run.config import RunConfig
from fl.app.run.dropouts import Dropouts, asked_clients, draw_dropouts, gone_from_the_start
from fl.app.run.journal import Done, RoundRecord
from fl.app.run.keys import create_salt
from fl.app.run.opening import OpenedRun, open_run
from fl.app.run.plain_plan import PlainPlan
from fl.app.run.plain_rounds import PlainRounds
from fl.app.run.plan import RunPlan
from fl.app.run.private_rounds import PrivateRounds
from fl.app.run.recovery import recovered
from fl.app.run.result import Ended, RunResult
from fl.app.run.rounds import Rounds
from fl.private import Contribution, LedgerNotes
from fl.study import StudyError
from secagg import ClientId

__all__ = ["Watcher", "run_study"]


class Watcher:
    """Is told how a run goes on; the base says nothing."""

    def begins(self, plan: RunPlan, finished: int) -> None:
        """The run is open; `finished` of its rounds are over."""

    def note(self, text: str) -> None:
        """Something that its owner should know."""

    def training(self, round_number: int, *, contributed: int, clients: int) -> None:
        """`contributed` of the round's `clients` have handed in their contribution."""

    def round_over(self, done: Done) -> None:
        """A round is over, or was found to be lost."""


def run_study(config: RunConfig, *, resume: bool = False, watcher: Watcher | None = None) -> RunResult:
    """Trains to the end of the plan, from the beginning or from where an earlier call was interrupted.

    Args:
        config: what was read.
        resume: go on with the run in the folder; otherwise there must be none.
        watcher: is told how it goes on.

    Raises:
        RunConfigError: there is no such plan.
        RunRefusedError: the folder or a key is not what it should be; nothing was changed.
        PlanMismatchError: configuration, checkpoint, journal and ledger do not belong together; nothing was changed.
        FileLockedError: another process is at the run.
        LedgerError, InvalidStateError: a file is damaged.
        StudyError: the user's code failed.
        DPError, SecAggError, OSError: a round failed; it counts if it was begun. The run can be resumed.
    """
    with open_run(config, resume=resume) as run:
        training = _Training(run, Watcher() if watcher is None else watcher)
        training.make_up_for_a_crash()
        ended, detail = training.run_the_rounds_left()
        return training.finish(ended, detail)


class _Training:
    """The loop over the rounds, and what it changes: the checkpoint, in memory as on the disk."""

    def __init__(self, run: OpenedRun, watcher: Watcher) -> None:
        self._run = run
        self._watcher = watcher
        self._checkpoint = run.checkpoint
        self._rounds = _rounds(run)

    def make_up_for_a_crash(self) -> None:
        """Counts a round whose result is lost, and evaluates the last round if it was not."""
        run = self._run
        self._watcher.begins(run.plan, run.journal.finished)
        torn = None if run.privacy is None else run.privacy.ledger.torn
        if torn is not None:
            self._watcher.note(f"a crash left {len(torn.content)} bytes of a record, now in {torn.moved_to}")
        found = recovered(run)
        if found is not self._checkpoint:
            self._save(found)
        record = self._checkpoint.record
        if record is not None and run.journal.finished < record.round:
            self._round_over(record)

    def run_the_rounds_left(self) -> tuple[Ended, str]:
        """Returns how the run ended, and why if it ended before its time."""
        while self._checkpoint.round_number < self._run.plan.rounds:
            number = self._checkpoint.round_number + 1
            excess = self._rounds.exhausted(number, self._checkpoint.clip)
            if excess is not None:
                return "budget exhausted", f"before round {number}: {excess}"
            self._round(number)
        return "finished", ""

    def finish(self, ended: Ended, detail: str) -> RunResult:
        """Closes the ledger if all rounds are over, writes the model, and returns what there is."""
        run, ledger = self._run, self._run.ledger
        if ended == "finished" and run.privacy is not None and not run.privacy.tail.closed:
            run.privacy.ledger.finish()
        write_model(run.folder.model, run.study.whole(self._checkpoint.model))
        return RunResult(
            ended=ended,
            detail=detail,
            plan=run.plan,
            done=run.journal.done,
            model=run.folder.model,
            ledger=None if ledger is None else run.folder.ledger,
            head=None if ledger is None else ledger.head,
            public_key=None if run.key is None else run.key.public_key,
            epsilon=None if ledger is None else ledger.spent,
        )

    def _round(self, number: int) -> None:
        run, before = self._run, self._checkpoint
        dropouts = draw_dropouts(run.clients, run.config.session.simulated_dropout, run.plan.session.adversary.stages)
        contributions, failed = self._contributions(number, dropouts)
        dropouts = gone_from_the_start(dropouts, failed)
        run.journal.begin(number)
        result = self._rounds.run(
            number,
            clip=before.clip,
            contributions=contributions,
            dropouts=dropouts,
            model_digest=before.model_digest(),
        )
        optimizer, model = before.optimizer, before.model
        if result.mean is not None:
            optimizer, model = run.config.optimizer.step(optimizer, model, result.mean, tolerance=result.error)
        record = result.record
        if failed:
            problems = "; ".join(map(str, failed.values()))
            record = msgspec.structs.replace(record, detail=f"{record.detail}; {problems}".removeprefix("; "))
        self._save(
            replace(
                before,
                round_number=number,
                clip=result.clip,
                head=None if run.ledger is None else run.ledger.head,
                model=model,
                optimizer=optimizer,
                record=record,
            )
        )
        self._round_over(record)

    def _contributions(
        self, number: int, dropouts: Dropouts
    ) -> tuple[dict[ClientId, Contribution], dict[ClientId, StudyError]]:
        """Asks all clients that will be there, before the round begins; returns what they gave, and who failed."""
        asked = asked_clients(self._run.clients, dropouts)
        model, clip = self._checkpoint.model, self._checkpoint.clip
        given: dict[ClientId, Contribution] = {}
        failed: dict[ClientId, StudyError] = {}
        for client in asked:
            try:
                given[client] = self._run.study.contribute(
                    client, model, number, lambda one: self._rounds.checked(one, clip)
                )
            except StudyError as error:
                if self._run.config.session.failing_client == "stop":
                    raise
                failed[client] = error
            self._watcher.training(number, contributed=len(given) + len(failed), clients=len(asked))
        return given, failed

    def _save(self, checkpoint: Checkpoint) -> None:
        checkpoint.save(self._run.folder.checkpoint)
        self._checkpoint = checkpoint

    def _round_over(self, record: RoundRecord) -> None:
        """Evaluates what is in the checkpoint, and says in the journal that its round is over."""
        moved = record.outcome == "released"
        metrics = self._run.study.evaluate(self._checkpoint.model, record.round) if moved else {}
        self._watcher.round_over(self._run.journal.finish(record, metrics))


def _rounds(run: OpenedRun) -> Rounds:
    if isinstance(run.plan, PlainPlan):
        return PlainRounds(run.plan, run.clients)
    privacy, settings = run.privacy, run.config.privacy
    if privacy is None or settings is None:  # pragma: no cover - a run with noise has both
        raise TypeError("a run with noise has a ledger")
    return PrivateRounds(
        plan=run.plan,
        ledger=privacy.ledger,
        counters=privacy.counters,
        identities=privacy.identities,
        denominator=settings.denominator,
        sign=privacy.ledger.header.key is not None,
        notes=_notes(run),
    )


def _notes(run: OpenedRun) -> LedgerNotes:
    settings = run.config.privacy
    if settings is None or settings.record_clients is None:
        return LedgerNotes(label=None if settings is None else settings.label, run=run.checkpoint.run)
    salt = None if run.config.salt is None else create_salt(run.config.salt)
    return LedgerNotes(
        label=settings.label, run=run.checkpoint.run, clients=MemberForm(settings.record_clients), salt=salt
    )
