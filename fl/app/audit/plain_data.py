"""An audit as plain data, for programs."""

import math
from collections.abc import Sequence
from pathlib import Path

from dp import AuditReport
from dp.ledger import Figures, Participation, ReleaseReport
from fl.app.audit.sentences import notes

__all__ = ["as_json"]


def as_json(report: AuditReport, paths: Sequence[Path], asked: Participation | None = None) -> dict[str, object]:
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
        "unamplified": _finite(report.unamplified),
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
        "assurance": sorted(report.assurance),
        "required": sorted(report.required),
        "unmet": list(report.unmet),
        "participation": None if asked is None else _participation(asked),
        "notes": notes(report),
    }


def _release(release: ReleaseReport) -> dict[str, object]:
    return {
        "file": release.place.file,
        "record": release.place.record,
        "round": release.round,
        "mechanism": release.mechanism,
        "label": release.label,
        "run": _hex(release.run),
        "evidence": _hex(release.evidence),
        "sample_known_to": release.sample,
        "count": release.count,
        "invited": release.invited,
        "min_survivors": release.min_survivors,
        "survivors": release.survivors,
        "cohort": _hex(release.cohort),
        "members": None if release.members is None else list(release.members),
        "claimed": release.claimed,
        "epsilon": _figures(release.epsilon),
        "so_far": _figures(release.so_far),
    }


def _figures(figures: Figures) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in figures._asdict().items()}


def _participation(asked: Participation) -> dict[str, object]:
    return {
        name: [{"file": one.place.file, "record": one.place.record, "round": one.round} for one in releases]
        for name, releases in (("inside", asked.inside), ("outside", asked.outside), ("unsaid", asked.unsaid))
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()
