"""From a ledger's releases to epsilon, one by one and together; everything is computed once.

* A *claim*, which each release's record holds as `epsilon`: its promise alone, by published formulas, at `ORDERS`.
* The epsilon of one release as a report *shows* it: the accountant's for the first few different ones, else as a claim.
* A *total*: the accountant's; at `ORDERS`, where more rounds differ than it can treat in a moment.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from dp.accounting.accountant import Bound, Method, RdpAccountant
from dp.accounting.sampler_share import bound_with_samplers, epsilons_with_samplers
from dp.errors import InvalidParameterError, UnsupportedEventError
from dp.events import Composed, Event, SampledWithoutReplacement
from dp.ledger.curves import ORDERS, many_curves
from dp.ledger.errors import BadRecordError, Fault
from dp.ledger.events import Released
from dp.ledger.state import Release
from dp.ledger.time_limit import TimeLimit
from dp.renyi.distributed import has_shares

__all__ = ["EpsilonTable", "covers", "epsilons_at_orders"]

_Array = npt.NDArray[np.float64]

_CLAIM_STEP: Final = Fraction(1, 10**9)
"""Claims are rounded up to a multiple of it."""

_SLACK: Final = 1e-9
"""Relative, and far more than what libraries of elementary functions differ in."""

_ROUNDING: Final = 1e-12
"""Relative, of the terms of an epsilon: what may be lost in computing them."""

_MOST_EXACT: Final = 256
"""Different releases with noise of many participants that the accountant gets; more would take it seconds."""

_COST_OF_BIT: Final = 16
"""A release with a bit that adapts the clip norm counts as so many: so little noise is bounded numerically."""

_CHUNK: Final = 2**8
"""Curves worked on at once: seconds at most, in between which the time is looked at."""

_ONE_BY_ONE: Final = "at the epsilons of its releases"
_TOGETHER: Final = "at the epsilon of its releases together"

_MOST_SHOWN: Final = 32
"""Different releases whose epsilon alone is the accountant's."""


class EpsilonTable:
    """The epsilons of one ledger's releases.

    Args:
        delta: of the ledger.
        limit: of the time that it all may take; None for no limit. Whatever computes raises `AuditTimeError` then.
    """

    def __init__(self, delta: Fraction, limit: TimeLimit | None = None) -> None:
        self.delta = delta
        self._limit = limit or TimeLimit()
        self._curves: dict[Released, _Array] = {}
        self._alone: dict[Released, float] = {}
        self._shown: dict[Released, float] = {}
        self._totals: dict[tuple[frozenset[tuple[Event, int]], int], Bound] = {}

    def prepare(self, many: Iterable[Released]) -> None:
        """Computes the epsilons at `ORDERS` of many releases at once, which is faster than one by one.

        Raises:
            UnsupportedEventError: there is no valid bound for one of them.
        """
        new = [released for released in dict.fromkeys(many) if released not in self._alone]
        for start in range(0, len(new), _CHUNK):
            part = new[start : start + _CHUNK]
            curves = many_curves(self._limit.watch((released.event for released in part), _ONE_BY_ONE))
            self._curves |= {released: released.times * curves[released.event] for released in part}
            samples = np.array([float(released.samples) for released in part])
            epsilons = epsilons_at_orders(self.curves(part), self.delta, samples=samples)
            self._alone |= dict(zip(part, epsilons.tolist(), strict=True))

    def curves(self, many: Sequence[Released]) -> _Array:
        """Returns the divergences of some records at `ORDERS`, shape (records, orders).

        Raises:
            UnsupportedEventError: there is no valid bound for one of them.
        """
        if any(released not in self._curves for released in many):
            self.prepare(many)
        return np.array([self._curves[released] for released in many]).reshape(len(many), len(ORDERS))

    def claim(self, promised: Released) -> Fraction | None:
        """Returns what a record with this promise has to hold as its `epsilon`; None if nothing finite is true."""
        epsilon = self.alone(promised)
        if not math.isfinite(epsilon):
            return None
        return math.ceil(Fraction(epsilon * (1 + _SLACK)) / _CLAIM_STEP) * _CLAIM_STEP

    def false_claim(self, releases: Sequence[Release]) -> tuple[int, BadRecordError] | None:
        """Returns where the first record is that claims less than it spends, and what is wrong with it; else None."""
        # All at once, which is faster; what has no valid bound is refused below, in its place.
        with suppress(UnsupportedEventError):
            self.prepare(release.views.promised for release in releases)
        for index, release in enumerate(releases):
            try:
                self._check_claim(release.record.epsilon, release.views.promised)
            except (InvalidParameterError, UnsupportedEventError) as error:
                return index, BadRecordError(release.place.record, Fault.FIGURE, str(error))
        return None

    def alone(self, released: Released) -> float:
        """Returns the epsilon of one record at `ORDERS`."""
        if released not in self._alone:
            self.prepare((released,))
        return self._alone[released]

    def shown(self, released: Released) -> float:
        """Returns the epsilon of one record as a report shows it."""
        if released not in self._shown:
            few = len(self._shown) < _MOST_SHOWN and not _takes_seconds(released.event)
            self._shown[released] = self.total((released,)).value if few else self.alone(released)
        return self._shown[released]

    def total(self, many: Iterable[Released]) -> Bound:
        """Returns the epsilon of many records together."""
        counts = Counter(many)
        events: dict[Event, int] = {}
        for released, count in counts.items():
            events[released.event] = events.get(released.event, 0) + count * released.times
        samples = sum(count * released.samples for released, count in counts.items())
        key = (frozenset(events.items()), samples)
        if key not in self._totals:
            self._limit.check(_TOGETHER)
            self._totals[key] = self._total(counts, events, samples)
        return self._totals[key]

    def _check_claim(self, claim: Fraction | None, promised: Released) -> None:
        if not covers(claim, self.alone(promised)):
            allowed = f"at least {float(self.claim(promised) or math.inf):.9g}, as follows from the rest"
            raise InvalidParameterError("epsilon", None if claim is None else f"{float(claim):.9g}", allowed)

    def _total(self, counts: Mapping[Released, int], events: Mapping[Event, int], samples: int) -> Bound:
        if sum(map(_cost, events)) > _MOST_EXACT:
            curve = np.array(list(counts.values()), dtype=np.float64) @ self.curves(list(counts))
            epsilon = epsilons_at_orders(curve[None], self.delta, samples=np.array([float(samples)]))[0]
            return Bound(float(epsilon), None, Method.RDP)
        accountant = RdpAccountant()
        for event, count in events.items():
            accountant.compose(event, count)
        return bound_with_samplers(accountant.epsilon, self.delta, samples)


def epsilons_at_orders(curves: _Array, delta: Fraction, *, samples: _Array) -> _Array:
    """Returns the epsilons of curves at `ORDERS`.

    Args:
        curves: divergences, shape (n, orders).
        delta: of the ledger.
        samples: of noise in each, shape (n,).
    """

    def epsilon(deltas: _Array) -> _Array:
        return np.asarray(np.maximum(_converted(ORDERS, curves, deltas).min(axis=1), 0.0))

    return epsilons_with_samplers(epsilon, delta, samples)


def covers(claim: Fraction | None, epsilon: float) -> bool:
    """Returns whether a record claims no less than its release spends."""
    return claim is None or float(claim) >= epsilon * (1 - _SLACK)


def _cost(event: Event) -> int:
    """Returns how dear a release is to the accountant, in releases with noise of many participants."""
    if not has_shares(event):
        return 0
    mechanism = event.event if isinstance(event, SampledWithoutReplacement) else event
    return _COST_OF_BIT if isinstance(mechanism, Composed) else 1


def _takes_seconds(event: Event) -> bool:
    """Returns whether the accountant is slow alone with an event: a sampled round with a bit that adapts the clip norm.

    Its best order is in the hundreds, and the bit has so little noise that the numerical bound is asked for each.
    """
    return isinstance(event, SampledWithoutReplacement) and isinstance(event.event, Composed) and has_shares(event)


def _converted(orders: _Array, curves: _Array, deltas: _Array) -> _Array:
    """Returns the epsilons at each order (Canonne, Kamath, Steinke 2020, Prop. 12), with what rounding may take."""
    loss = (np.log(deltas)[:, None] + np.log(orders)) / (orders - 1)
    epsilons = curves - np.log1p(1 / (orders - 1)) - loss + _ROUNDING * (curves + np.abs(loss))
    # What is no number is no bound.
    return np.where(np.isnan(epsilons), math.inf, epsilons)
