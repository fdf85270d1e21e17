"""What `secagg audit` shows on a terminal: a table, sentences and faults."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dp import NO_NOISE, Adversary, AuditReport
from dp.ledger import Figures, Participation, ReleaseReport, Verdict
from fl.app.audit.sentences import figure_text, notes, participation_sentences, verdict_sentence

__all__ = ["show", "waiting"]

_AGAINST: Final = {
    Adversary.PARTICIPANT: "the server and anybody who saw a roster",
    Adversary.OUTSIDER: "anybody who sees what is released and no roster",
}


@contextmanager
def waiting() -> Iterator[None]:
    """Shows on a terminal that an audit is running."""
    with Console(stderr=True).status("auditing"):
        yield


def show(report: AuditReport, paths: Sequence[Path], *, rows: int, asked: Participation | None = None) -> None:
    """Prints the report; of more than `rows` releases, the first and the last ones."""
    console = Console(emoji=False)
    if report.header is not None:
        header = report.header
        console.print(f"[bold]{escape(header.scope)}[/bold]: {header.relation} of one {header.unit}")
        console.print(
            f"Budget: epsilon {float(header.budget):g} at delta {float(header.delta):g}, against "
            f"{_AGAINST[header.adversary]}; {header.colluders} of a round's participants may collude with them.",
            soft_wrap=True,
        )
        if report.releases:
            console.print(_table(report, rows))
    for path, file in zip(paths, report.files, strict=False):
        console.print(f"{escape(str(path))}: {file.records} records, head {file.head.hex()}", soft_wrap=True)
    for sentence in notes(report):
        console.print(sentence, soft_wrap=True)
    for sentence in [] if asked is None else participation_sentences(asked):
        console.print(sentence, soft_wrap=True)
    for fault in report.faults:
        console.print(f"[bold red]{escape(str(fault))}", soft_wrap=True)
    console.print(f"[bold]{'' if report.verdict is Verdict.FINE else '[red]'}{verdict_sentence(report)}")


def _table(report: AuditReport, rows: int) -> Table:
    table = Table("record", "round", "survivors", *(f"eps_\n{name}" for name in Figures._fields), box=SIMPLE_HEAD)
    for column in table.columns:
        column.justify = "right"
    head = len(report.releases) if len(report.releases) <= rows else (rows + 1) // 2
    for release in report.releases[:head]:
        table.add_row(*_row(release))
    tail = report.releases[len(report.releases) - (rows - head) :] if head < len(report.releases) else ()
    if head < len(report.releases):
        left_out = len(report.releases) - head - len(tail)
        table.add_row("...", f"{left_out} more", *[""] * 5)
    for release in tail:
        table.add_row(*_row(release))
    table.add_section()
    table.add_row("", "all", "", *map(_cell, report.total))
    return table


def _cell(epsilon: float) -> str:
    return figure_text(epsilon) if math.isfinite(epsilon) else "inf"


def _mechanism(release: ReleaseReport) -> str:
    return "no noise" if release.mechanism == NO_NOISE else release.mechanism


def _row(release: ReleaseReport) -> tuple[str, ...]:
    what = str(release.round) if release.round is not None else f"{release.count} x {_mechanism(release)}"
    if release.label is not None:
        what += f" {escape(release.label)}"
    survivors = ""
    if release.invited is not None:
        survivors = f"{release.survivors or f'(>= {release.min_survivors})'} of {release.invited}"
    place = f"{release.place.record}" if release.place.file == 0 else f"{release.place.file + 1}:{release.place.record}"
    figures = map(_cell, release.epsilon)
    return place, what, survivors, *figures
