"""What `secagg audit` shows: tables and sentences for people, plain data for programs."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dp import Adversary, AuditReport
from dp.ledger import Figures, ReleaseReport, Verdict

EXIT_STATUS: Final = {
    Verdict.FINE: 0,
    Verdict.OVER_BUDGET: 1,
    Verdict.WRONG_FIGURE: 1,
    Verdict.FOREIGN: 2,
    Verdict.BROKEN: 3,
}
"""What the command exits with; 2 also for files that cannot be read and options that cannot be used."""

_MOST_NAMED: Final = 8


@contextmanager
def waiting() -> Iterator[None]:
    """Shows on a terminal that an audit is running."""
    with Console(stderr=True).status("auditing"):
        yield


def show(report: AuditReport, paths: Sequence[Path], rows: int) -> None:
    """Prints the report; of more than `rows` releases, the first and the last ones."""
    console = Console()
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
    for fault in report.faults:
        console.print(f"[bold red]{escape(str(fault))}", soft_wrap=True)
    console.print(f"[bold]{'' if report.verdict is Verdict.FINE else '[red]'}{_verdict(report)}")


def notes(report: AuditReport) -> list[str]:
    """Returns what the figures do not say, a sentence or two an entry."""
    sentences = []
    if report.unsettled:
        named = ", ".join(str(number) for number in report.unsettled[:_MOST_NAMED])
        more = ", ..." if len(report.unsettled) > _MOST_NAMED else ""
        sentences.append(f"Not settled, and counted in full: {len(report.unsettled)} rounds ({named}{more}).")
    if any(release.survivors is not None for release in report.releases):
        sentences.append("eps_realised is a guarantee only if who dropped out does not depend on anybody's data.")
    if report.continuous:
        sentences.append(
            f"{report.continuous} releases have noise that is a real number on paper. What a floating-point sampler "
            "gives away besides is not in these figures."
        )
    sentences += [
        f"{file.torn} bytes of an unfinished record are at the end: a crash left them, nobody was told they were there."
        for file in report.files
        if file.torn
    ]
    return sentences + _trust(report)


def _trust(report: AuditReport) -> list[str]:
    """Returns what the chain does not show, and what would."""
    if report.header is None or report.verdict is Verdict.BROKEN:
        return []
    sentences = []
    last = report.files[-1]
    if last.key is None:
        sentences.append("The ledger is not signed: its chain shows accidents, not whoever rewrites all its hashes.")
    elif not report.key_was_expected:
        sentences.append(f"Signed with the key {last.key.hex()}: --expect-key says whether that is the right one.")
    if last.key is not None and last.signed < last.records:
        sentences.append(f"The {last.records - last.signed} records at the end are covered by no signature.")
    if report.after_expected is not None:
        sentences.append(f"It had the expected head, and has {report.after_expected} records since.")
    elif not (last.closed and last.signed):
        sentences.append("Whether records at the end were removed, only a head from elsewhere shows: --expect-head.")
    return sentences


def as_json(report: AuditReport, paths: Sequence[Path]) -> dict[str, object]:
    """Returns plain data; an infinite epsilon is null, and so is what is not known."""
    header = report.header
    return {
        "verdict": report.verdict,
        "budget": None
        if header is None
        else {
            "scope": header.scope,
            "unit": header.unit,
            "relation": header.relation,
            "delta": float(header.delta),
            "epsilon": float(header.budget),
            "adversary": header.adversary,
            "colluders": header.colluders,
        },
        "total": _figures(report.total),
        "bound": None if report.bound is None else {"method": report.bound.method, "order": report.bound.order},
        "files": [
            {
                "path": str(path),
                "records": file.records,
                "head": file.head.hex(),
                "key": None if file.key is None else file.key.hex(),
                "signed": file.signed,
                "closed": file.closed,
                "torn": file.torn,
            }
            for path, file in zip(paths, report.files, strict=False)
        ],
        "releases": [_release(release) for release in report.releases],
        "unsettled": list(report.unsettled),
        "after_expected": report.after_expected,
        "continuous": report.continuous,
        "faults": [{"record": fault.record, "fault": fault.fault, "detail": fault.detail} for fault in report.faults],
        "notes": notes(report),
    }


_AGAINST: Final = {
    Adversary.PARTICIPANT: "the server and whoever saw a roster",
    Adversary.OUTSIDER: "whoever sees what is released and no roster",
}


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
    table.add_row("", "all", "", *(_number(value) for value in report.total))
    return table


def _row(release: ReleaseReport) -> tuple[str, ...]:
    what = str(release.round) if release.round is not None else f"{release.count} x {release.mechanism}"
    survivors = ""
    if release.invited is not None:
        survivors = f"{release.survivors or f'(>= {release.min_survivors})'} of {release.invited}"
    place = f"{release.place.record}" if release.place.file == 0 else f"{release.place.file + 1}:{release.place.record}"
    figures = (_number(value) for value in release.epsilon)
    return place, what, survivors, *figures


def _verdict(report: AuditReport) -> str:
    if report.verdict is Verdict.FINE and report.header is not None:
        return f"Fine: eps_promised is {_number(report.total.promised)} of {float(report.header.budget):g}."
    if report.verdict is Verdict.OVER_BUDGET and report.header is not None:
        return f"OVER BUDGET: eps_promised is {_number(report.total.promised)} of {float(report.header.budget):g}."
    return {
        Verdict.WRONG_FIGURE: "WRONG FIGURE: the chain is whole, and says what cannot be true.",
        Verdict.FOREIGN: "Not audited: the ledger follows other rules than this program.",
    }.get(report.verdict, "BROKEN: this is not what was written.")


def _release(release: ReleaseReport) -> dict[str, object]:
    return {
        "file": release.place.file,
        "record": release.place.record,
        "round": release.round,
        "mechanism": release.mechanism,
        "count": release.count,
        "invited": release.invited,
        "min_survivors": release.min_survivors,
        "survivors": release.survivors,
        "claimed": release.claimed,
        "epsilon": _figures(release.epsilon),
        "so_far": _figures(release.so_far),
    }


def _figures(figures: Figures) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in figures._asdict().items()}


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "unbounded"
