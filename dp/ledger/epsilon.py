"""From a ledger's releases to epsilon, one by one and together; everything is computed once.

* A *claim*, which each release's record holds as `epsilon`: its promise alone, by published formulas, at `ORDERS`.
* The epsilon of one release as a report *shows* it: the accountant's for the first few different ones, else as a claim.
* A *total*: the accountant's; at `ORDERS`, where more rounds differ than it can treat in a moment.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from dp.accounting.accountant import Bound, Method, RdpAccountant
from dp.events import Composed, Event, SampledWithoutReplacement
from dp.ledger.curves import ORDERS, epsilons_at_orders, has_shares, many_curves, with_samplers
from dp.ledger.events import Seen, View, event_of, noise_samples, seen_by
from dp.ledger.records import Central, Header, Reserve

__all__ = ["EpsilonTable", "Released", "Spending", "covers"]

_Array = npt.NDArray[np.float64]

_CLAIM_STEP: Final = Fraction(1, 10**9)
"""Claims are rounded up to a multiple of it."""

_SLACK: Final = 1e-9
"""Relative, and far more than what libraries of elementary functions differ in."""

_MOST_EXACT: Final = 256
"""Different releases with noise of many participants that the accountant gets; more would take it seconds."""

_CHUNK: Final = 2**12
"""Curves worked on at once."""

_MOST_SHOWN: Final = 32
"""Different releases whose epsilon alone is the accountant's."""


@dataclass(frozen=True, slots=True, eq=False)
class Released:
    """What one record stands for; records that stand for the same share one object, so that looking it up is cheap.

    Args:
        event: what was released.
        times: how often.
        samples: of noise, in all of them.
    """

    event: Event
    times: int
    samples: int


class EpsilonTable:
    """The epsilons of one ledger's releases.

    Args:
        header: of the ledger.
    """

    def __init__(self, header: Header) -> None:
        self.header = header
        self._plans: dict[object, int] = {}
        self._released: dict[tuple[int, Seen], Released] = {}
        self._alike: dict[tuple[Event, int, int], Released] = {}
        self._curves: dict[Released, _Array] = {}
        self._alone: dict[Released, float] = {}
        self._shown: dict[Released, float] = {}
        self._totals: dict[tuple[frozenset[tuple[Event, int]], int], Bound] = {}

    def promised(self, release: Reserve | Central) -> Released:
        """Returns what a record promises."""
        return self.views(release, None, (View.PROMISED,))[0]

    def views(
        self, release: Reserve | Central, survivors: int | None, views: Iterable[View] = View
    ) -> tuple[Released, ...]:
        """Returns what a record stands for in each of some views; see `dp.ledger.events.event_of`."""
        plan = self._plans.setdefault(_substance(release), len(self._plans))
        released = []
        for view in views:
            key = plan, seen_by(self.header, release, view, survivors)
            if key not in self._released:
                self._released[key] = self._unique(release, view, survivors)
            released.append(self._released[key])
        return tuple(released)

    def prepare(self, many: Iterable[Released]) -> None:
        """Computes the epsilons at `ORDERS` of many releases at once, which is faster than one by one.

        Raises:
            UnsupportedEventError: there is no valid bound for one of them.
        """
        new = [released for released in dict.fromkeys(many) if released not in self._alone]
        curves = many_curves(released.event for released in new)
        self._curves |= {released: released.times * curves[released.event] for released in new}
        for start in range(0, len(new), _CHUNK):
            part = new[start : start + _CHUNK]
            samples = np.array([float(released.samples) for released in part])
            epsilons = epsilons_at_orders(self.curves(part), self.header.delta, samples)
            self._alone |= dict(zip(part, epsilons.tolist(), strict=True))

    def curves(self, many: Sequence[Released]) -> _Array:
        """Returns the divergences of some records at `ORDERS`, shape (records, orders).

        Raises:
            UnsupportedEventError: there is no valid bound for one of them.
        """
        if any(released not in self._curves for released in many):
            self.prepare(many)
        return np.array([self._curves[released] for released in many]).reshape(len(many), len(ORDERS))

    def claim(self, release: Reserve | Central) -> Fraction | None:
        """Returns what the record of a release has to hold as its `epsilon`; None if nothing finite is true."""
        epsilon = self.alone(self.promised(release))
        if not math.isfinite(epsilon):
            return None
        return math.ceil(Fraction(epsilon * (1 + _SLACK)) / _CLAIM_STEP) * _CLAIM_STEP

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
            self._totals[key] = self._total(counts, events, samples)
        return self._totals[key]

    def _total(self, counts: Mapping[Released, int], events: Mapping[Event, int], samples: int) -> Bound:
        if sum(has_shares(event) for event in events) > _MOST_EXACT:
            curve = np.array(list(counts.values()), dtype=np.float64) @ self.curves(list(counts))
            epsilon = epsilons_at_orders(curve[None], self.header.delta, np.array([float(samples)]))[0]
            return Bound(float(epsilon), None, Method.RDP)
        accountant = RdpAccountant()
        for event, count in events.items():
            accountant.compose(event, count)
        return with_samplers(accountant.epsilon, self.header.delta, samples)

    def _unique(self, release: Reserve | Central, view: View, survivors: int | None) -> Released:
        times = release.count if isinstance(release, Central) else 1
        key = event_of(self.header, release, view, survivors), times, noise_samples(release)
        return self._alike.setdefault(key, Released(*key))


class Spending:
    """What the promises of many records spend together; nothing at first.

    Args:
        table: of the ledger.
    """

    def __init__(self, table: EpsilonTable) -> None:
        self._table = table
        self._counts: Counter[Released] = Counter()
        self._samples = 0
        self._curve: _Array = np.zeros(len(ORDERS))

    def add(self, released: Released) -> None:
        """Adds what one record stands for."""
        self._counts[released] += 1
        self._samples += released.samples
        self._curve = self._curve + self._table.curves((released,))[0]

    def copy(self) -> "Spending":
        """Returns another one with the same, which goes its own way."""
        other = Spending(self._table)
        other._counts, other._samples, other._curve = Counter(self._counts), self._samples, self._curve
        return other

    def is_within(self, budget: float) -> bool:
        """Returns whether epsilon is at most a budget; quick where it is far below."""
        samples = np.array([float(self._samples)])
        quick = epsilons_at_orders(self._curve[None], self._table.header.delta, samples)[0]
        return bool(quick <= budget) or self.epsilon().value <= budget

    def epsilon(self) -> Bound:
        """Returns the epsilon of all of them together; 0 if there are none."""
        return self._table.total(self._counts.elements())


def covers(claim: Fraction | None, epsilon: float) -> bool:
    """Returns whether a record claims no less than its release spends."""
    return claim is None or float(claim) >= epsilon * (1 - _SLACK)


def _takes_seconds(event: Event) -> bool:
    """Returns whether the accountant is slow alone with an event: a sampled round with a bit that adapts the clip norm.

    Its best order is in the hundreds, and the bit has so little noise that the numerical bound is asked for each.
    """
    return isinstance(event, SampledWithoutReplacement) and isinstance(event.event, Composed) and has_shares(event)


def _substance(release: Reserve | Central) -> object:
    """Returns what of a record bears on its event; equal rounds have it in common."""
    if isinstance(release, Central):
        return release
    return (
        release.mechanism,
        release.sampling,
        release.min_survivors,
        release.squared_norm_bound,
        release.dimension,
        release.invited,
        release.local_variance,
        release.clip_bit_variance,
    )
