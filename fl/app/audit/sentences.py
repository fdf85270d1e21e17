"""What an audit found, in sentences, for the terminal and for programs alike."""

import math
from collections.abc import Sequence
from typing import Final

from dp import AuditReport
from dp.ledger import Assurance, Participation, ReleaseReport, Verdict

__all__ = ["figure_text", "notes", "participation_sentences", "verdict_sentence"]

_MOST_NAMED: Final = 8
_ALIKE: Final = 1e-6
"""Relative: epsilons that differ by less are the same to a reader."""


def verdict_sentence(report: AuditReport) -> str:
    """Returns what it all comes to."""
    if report.verdict is Verdict.FINE and report.header is not None:
        known = "recomputed and anchored" if Assurance.ANCHORED in report.assurance else "recomputed, not anchored"
        spent = f"eps_promised is {figure_text(report.total.promised)} of {float(report.header.budget):g}"
        return f"Fine ({known}): {spent}."
    if report.verdict is Verdict.NOT_ANCHORED:
        return (
            f"NOT ANCHORED AS REQUIRED: the figures are right, and the ledger is not {' and not '.join(report.unmet)}."
        )
    if report.verdict is Verdict.OVER_BUDGET and report.header is not None:
        return f"OVER BUDGET: eps_promised is {figure_text(report.total.promised)} of {float(report.header.budget):g}."
    return {
        Verdict.WRONG_FIGURE: "WRONG FIGURE: the chain is whole, and says what cannot be true.",
        Verdict.NOT_A_LEDGER: "Not audited: this is no ledger.",
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
    bare = [release for release in report.releases if math.isinf(release.epsilon.promised)]
    if bare:
        named = ", ".join(f"{_what(release)}" for release in bare[:_MOST_NAMED])
        more = ", ..." if len(bare) > _MOST_NAMED else ""
        sentences.append(f"Nothing bounds what these releases give away: {named}{more}.")
    if report.unamplified > report.total.promised * (1 + _ALIKE):
        sentences.append(
            f"eps_promised counts on samples that stay secret: against whoever knows them it is "
            f"{figure_text(report.unamplified)}. Where a record says that nobody knows its sample, eps_server believes "
            "it."
        )
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


def participation_sentences(asked: Participation) -> list[str]:
    """Returns in which sums a participant was."""
    total = len(asked.inside) + len(asked.outside) + len(asked.unsaid)
    sentences = [f"The participant was in {len(asked.inside)} of {total} sums{_named(asked.inside)}."]
    if asked.unsaid:
        sentences.append(f"Of {len(asked.unsaid)} the ledger does not say who was in them{_named(asked.unsaid)}.")
    return sentences


def _named(releases: Sequence[ReleaseReport]) -> str:
    if not releases:
        return ""
    more = ", ..." if len(releases) > _MOST_NAMED else ""
    return f": {', '.join(map(_what, releases[:_MOST_NAMED]))}{more}"


def _what(release: ReleaseReport) -> str:
    if release.round is not None:
        return f"round {release.round}"
    file = "" if release.place.file == 0 else f" of file {release.place.file + 1}"
    return f"record {release.place.record}{file}"


def figure_text(value: float) -> str:
    """Returns an epsilon as it is shown."""
    return f"{value:.4g}" if math.isfinite(value) else "unbounded"


def _trust(report: AuditReport) -> list[str]:
    """Returns what the chain does not show, and what would."""
    if report.header is None or report.verdict in (Verdict.BROKEN, Verdict.NOT_A_LEDGER):
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
