"""The epsilons of a ledger's state, in all views at once: the third step of an audit."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from dp.accounting.accountant import Bound
from dp.ledger.curves import ORDERS
from dp.ledger.epsilon import EpsilonTable, epsilons_at_orders
from dp.ledger.errors import BadRecordError
from dp.ledger.events import Released, View, unsampled
from dp.ledger.state import Place, Release
from dp.ledger.time_limit import TimeLimit

__all__ = ["Evaluation", "Figures", "evaluate"]

_CHUNK: Final = 2**12
"""Releases whose curves are added up at once."""


class Figures(NamedTuple):
    """The four epsilons of the same releases; see `dp.ledger.events`."""

    promised: float
    realised: float
    server: float
    outsider: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The figures of the releases of a ledger, up to the first that claims less than it spends.

    Args:
        releases: these, as they were before that one was written.
        fault: what is wrong with that one; None if there is none.
        stopped: its place.
        bound: how what is promised was bounded.
        total: the epsilons of all of them together.
        unamplified: what is promised together if everybody knew the samples.
        alone: those of each.
        so_far: those of the first, of the first two, and so on.
    """

    releases: tuple[Release, ...]
    fault: BadRecordError | None
    stopped: Place | None
    bound: Bound
    total: Figures
    unamplified: float
    alone: tuple[Figures, ...]
    so_far: tuple[Figures, ...]


def evaluate(replayed: Sequence[Release], delta: Fraction, limit: TimeLimit | None = None) -> Evaluation:
    """Returns the figures of releases.

    Args:
        replayed: the releases, in their order.
        delta: of the ledger.
        limit: of the time that it may take; None for no limit.

    Raises:
        AuditTimeError: it took longer.
    """
    table = EpsilonTable(delta, limit)
    false_claim = table.false_claim(replayed)
    releases, stopped = tuple(replayed), None
    if false_claim is not None:
        stopped = replayed[false_claim[0]].place
        releases = tuple(release.as_before(stopped) for release in replayed[: false_claim[0]])
    by_view = tuple(zip(*(release.views for release in releases), strict=True)) or ((),) * len(View)
    table.prepare(released for view in by_view for released in view)
    bounds = [table.total(view) for view in by_view]
    total = _ordered(*(bound.value for bound in bounds))
    alone = zip(*([table.shown(released) for released in view] for view in by_view), strict=True)
    so_far = zip(*(_so_far(view, table) for view in by_view), strict=True)
    return Evaluation(
        releases=releases,
        fault=None if false_claim is None else false_claim[1],
        stopped=stopped,
        bound=bounds[0],
        total=total,
        unamplified=table.total(unsampled(released) for released in by_view[0]).value,
        # A part is at most all of it, and that may have the better bound.
        alone=tuple(Figures(*map(min, _ordered(*one), total)) for one in alone),
        so_far=tuple(Figures(*map(min, some, total)) for some in so_far),
    )


def _so_far(view: Sequence[Released], table: EpsilonTable) -> list[float]:
    """Returns the epsilons of the first release, the first two, and so on."""
    result: list[float] = []
    curve, samples = np.zeros(len(ORDERS)), 0.0
    for start in range(0, len(view), _CHUNK):
        part = view[start : start + _CHUNK]
        curves = curve + np.cumsum(table.curves(part), axis=0)
        drawn = samples + np.cumsum([float(released.samples) for released in part])
        result += epsilons_at_orders(curves, table.delta, samples=drawn).tolist()
        curve, samples = curves[-1], drawn[-1]
    return result


def _ordered(promised: float, realised: float, server: float, outsider: float) -> Figures:
    """Returns the figures, none above another that bounds it too.

    More survivors are more noise, and an outsider sees less than the server; bounds may be looser where less is known.
    """
    return Figures(promised, min(realised, promised), server, min(outsider, server))
