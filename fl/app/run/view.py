"""What `secagg run` shows: a progress bar while it goes on, and tables when it is over."""

import shlex
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from dp import FileLockedError, LedgerError
from fl.app.exit_status import ExitStatus
from fl.app.run.config import RunConfigError
from fl.app.run.errors import RunRefusedError
from fl.app.run.journal import Done
from fl.app.run.plan import RunPlan
from fl.app.run.result import RunResult
from fl.app.run.training import Watcher
from fl.errors import PlanMismatchError
from fl.private import PrivatePlan
from fl.private.side_values import WEIGHT
from fl.study import StudyError
from secagg import InvalidStateError, SecAggError

__all__ = ["live", "show", "show_error", "status", "status_of_error"]

_ROWS: Final = 12
"""Rounds in the table, the last ones; the journal has all."""


class _Live(Watcher):
    """Moves the bar, and tells at once what went wrong in a round."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar = bar
        self._task = task

    def begins(self, plan: RunPlan, finished: int) -> None:
        """Sets the bar to where the run is."""
        self._bar.update(self._task, total=plan.rounds, completed=finished, news="")

    def note(self, text: str) -> None:
        """Prints it."""
        self._bar.console.print(escape(text), soft_wrap=True)

    def training(self, round_number: int, *, contributed: int, clients: int) -> None:
        """Says who is still awaited."""
        self._bar.update(self._task, news=f"round {round_number}: {contributed} of {clients} clients contributed")

    def round_over(self, done: Done) -> None:
        """Advances the bar; prints what is no usual round."""
        record = done.record
        if record.outcome != "released":
            self.note(f"round {record.round}: {record.outcome}: {record.detail}")
        news = (
            f"{record.survivors} survivors {_metrics(done.metrics)}" if record.outcome == "released" else record.outcome
        )
        self._bar.update(self._task, completed=record.round, news=escape(news))


@contextmanager
def live() -> Iterator[Watcher]:
    """Shows a progress bar on standard error; yields what moves it."""
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[news]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield _Live(bar, bar.add_task("rounds", total=None, news="reading the study"))


def show(result: RunResult) -> None:
    """Prints the result."""
    console = Console(emoji=False)
    plan = result.plan
    adversary = plan.session.adversary.name
    console.print(
        f"\n[bold]{plan.clients} clients, at least {plan.min_survivors} survivors, {adversary}, "
        f"d = {plan.schema.size}, modulus 2^{plan.session.modulus_bits}[/bold]"
    )
    console.print(_table(result))
    counts = ", ".join(f"{count} {outcome}" for outcome, count in result.outcomes.items() if count)
    console.print(f"{len(result.done)} of {plan.rounds} rounds: {counts or 'none'}.")
    if result.metrics:
        console.print(escape(f"The model at the end: {_metrics(result.metrics)}."))
    if result.clipped is not None:
        console.print(f"In the last sum the updates of {result.clipped:.0%} of the survivors were clipped.")
    console.print(escape(f"The model is in {result.model}"), soft_wrap=True)
    if isinstance(plan, PrivatePlan) and result.head is not None:
        console.print(
            f"Spent: epsilon {result.epsilon:.4g} of {float(plan.noise.target_epsilon):g} at delta "
            f"{float(plan.noise.delta):g}, for each {plan.noise.unit}, with up to {plan.noise.colluders} colluders."
        )
        anchor = f"secagg audit {shlex.quote(str(result.ledger))} --expect-head {result.head.hex()}"
        if result.public_key is not None:
            anchor += f" --expect-key {result.public_key.hex()}"
        console.print(escape(anchor), soft_wrap=True, highlight=False)
    else:
        console.print("No noise was added: anybody who sees a round's mean learns it exactly.")
    if result.detail:
        console.print(escape(f"Stopped: the budget is exhausted {result.detail}"), style="bold red")
    elif not result.outcomes["released"]:
        console.print("NO ROUND RELEASED A MEAN: the model is as it was", style="bold red")


def status(result: RunResult) -> ExitStatus:
    """Returns the exit status of a run that came to its end."""
    if result.ended == "budget exhausted":
        return ExitStatus.EXHAUSTED
    return ExitStatus.FINE if result.outcomes["released"] else ExitStatus.WRONG


def status_of_error(error: Exception) -> ExitStatus:
    """Returns the exit status of a run that did not."""
    if isinstance(error, RunConfigError) or (isinstance(error, StudyError) and error.round_number is None):
        return ExitStatus.UNUSABLE
    if isinstance(error, RunRefusedError | PlanMismatchError | FileLockedError | LedgerError | InvalidStateError):
        return ExitStatus.REFUSED
    return ExitStatus.WRONG


def show_error(error: Exception) -> None:
    """Prints an error to standard error, after the traceback of the user's own code if it was that which failed."""
    if isinstance(error, StudyError) and not isinstance(error.__cause__, SecAggError | None):
        traceback.print_exception(error.__cause__)
    print(f"secagg run: {error}", file=sys.stderr)  # noqa: T201 -- what a command prints


def _table(result: RunResult) -> Table:
    table = Table("round", "outcome", "survivors", "clip", "eps so far", "figures", box=SIMPLE_HEAD)
    shown = result.done[-_ROWS:]
    if len(shown) < len(result.done):
        table.add_row("...", f"{len(result.done) - len(shown)} more", *[""] * 4)
    for one in shown:
        record = one.record
        survivors = "" if record.survivors is None else f"{record.survivors} of {record.invited}"
        epsilon = "" if record.epsilon is None else f"{record.epsilon:.4g}"
        sums = {f"sum of {name}": value for name, value in record.side_values.items() if name != WEIGHT}
        figures = escape(_metrics(one.metrics | sums))
        table.add_row(str(record.round), record.outcome, survivors, f"{record.clip:.4g}", epsilon, figures)
    return table


def _metrics(metrics: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {'not finite' if value is None else f'{value:.4g}'}" for name, value in metrics.items())
