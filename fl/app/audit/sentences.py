"""What an audit found, in sentences, for the terminal and for programs alike."""

import math
from typing import Final

from dp import AuditReport
from dp.ledger import Verdict

__all__ = ["figure_text", "notes", "verdict_sentence"]

_MOST_NAMED: Final = 8


def verdict_sentence(report: AuditReport) -> str:
    """Returns what it all comes to."""
    if report.verdict is Verdict.FINE and report.header is not None:
        return f"Fine: eps_promised is {figure_text(report.total.promised)} of {float(report.header.budget):g}."
    if report.verdict is Verdict.OVER_BUDGET and report.header is not None:
        return f"OVER BUDGET: eps_promised is {figure_text(report.total.promised)} of {float(report.header.budget):g}."
    return {
        Verdict.WRONG_FIGURE: "WRONG FIGURE: the chain is whole, and says what cannot be true.",
        Verdict.FOREIGN: "Not audited: the ledger follows other rules than this program.",
    }.get(report.verdict, "BROKEN: this is not what was written.")


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


def figure_text(value: float) -> str:
    """Returns an epsilon as it is shown."""
    return f"{value:.4g}" if math.isfinite(value) else "unbounded"


def _trust(report: AuditReport) -> list[str]:
    """Returns what the chain does not show, and what would."""
    if report.header is None or report.verdict is Verdict.BROKEN:
        return []
    sentences = []
    last = report.files[-1]
    if last.key is None:
        sentences.append(
            "The ledger is not signed: its chain shows accidents, but not that somebody rewrote all its hashes."
        )
    elif not report.key_was_expected:
        sentences.append(f"Signed with the key {last.key.hex()}: --expect-key says whether that is the right one.")
    if last.key is not None and last.signed < last.records:
        sentences.append(f"The {last.records - last.signed} records at the end are covered by no signature.")
    if report.after_expected is not None:
        sentences.append(f"It had the expected head, and has {report.after_expected} records since.")
    elif not (last.closed and last.signed):
        sentences.append("Whether records at the end were removed, only a head from elsewhere shows: --expect-head.")
    return sentences
