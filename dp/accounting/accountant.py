"""The accountant: what has been released so far, and what that comes to.

    dp.RdpAccountant().compose(dp.PoissonSampled(0.01, dp.Gaussian(1.0)), 1000).epsilon(1e-5).value

No single way of accounting is the best everywhere. `epsilon` and `delta` are the smallest of several upper bounds, each
of which is valid on its own, and say which one it was.
"""

import enum
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from dp.accounting.analytic_gaussian import SMALLEST_NORMAL, gaussian_delta, gaussian_epsilon, rounded_up
from dp.accounting.conversion import best_delta, best_epsilon
from dp.accounting.pld import check_installed, pld_delta, pld_epsilon
from dp.accounting.roots import falling_root
from dp.checks import MAX_COUNT, check_closed_delta, check_count, check_extended_epsilon, check_real, check_sequence
from dp.errors import ComputationTooLargeError, InvalidParameterError
from dp.events import Composed, Event, PoissonSampled, SampledWithoutReplacement, check_alike
from dp.float_events import ignoring
from dp.renyi.curve import RenyiCurve, check_supported, total_variation_of

__all__ = ["Bound", "Method", "RdpAccountant"]

_ROUNDING: Final = 1e-12
"""Relative; the rounding errors of the closed forms stay far below."""

_CHEAP: Final = 1024
"""With fewer different sampled Gaussians, one more order costs next to nothing."""

_LARGEST_ORDER: Final = 2.0**20


class Method(enum.StrEnum):
    """How a bound was found."""

    NOTHING = "nothing"
    """Nothing was released: epsilon is 0."""

    NO_GUARANTEE = "no-guarantee"
    """No finite epsilon holds: something was released without any protection, or delta is 0 and noise has tails."""

    ANALYTIC_GAUSSIAN = "analytic-gaussian"
    """The exact profile of the Gaussian mechanism (Balle, Wang 2018); all releases were Gaussian and none sampled."""

    UNSAMPLED_GAUSSIAN = "unsampled-gaussian"
    """The same, as if everybody had been in every sample."""

    RDP = "rdp"
    """The sum of Renyi curves at its best order, converted (Canonne, Kamath, Steinke 2020, Prop. 12)."""

    SINGLE_RELEASE = "single-release"
    """Sampling amplifies the profile of one release (Balle, Barthe, Gaboardi 2018, Theorems 8 and 9)."""

    TOTAL_VARIATION = "total-variation"
    """The outputs on neighbours are as close as delta, so that epsilon is 0."""

    PLD = "pld"
    """Google's dp-accounting, an optional extra."""


@dataclass(frozen=True, slots=True)
class Bound:
    """An upper bound on epsilon or delta.

    Attributes:
        value: the bound.
        order: the Renyi order that it was found at, if it was.
        method: how it was found.
    """

    value: float
    order: float | None
    method: Method


class RdpAccountant:
    """Adds up Renyi curves of releases about the same neighbours, and converts the sum.

    Args:
        pld: also ask Google's dp-accounting for a bound; it has to be installed (the extra `pld`), and takes seconds.
            Where it would take minutes or gigabytes, as for little noise, `epsilon` and `delta` refuse with
            `ComputationTooLargeError`; an accountant without it answers.

    Guarantees:
        Each value is an upper bound for adaptive composition, rounding included, and is never NaN.

    Cost:
        `epsilon` and `delta` take two to four milliseconds, and half a second for 10**4 sampled Gaussians that all
        differ. A repeated event costs nothing more.
    """

    def __init__(self, *, pld: bool = False) -> None:
        if not isinstance(pld, bool | np.bool_):
            raise InvalidParameterError("pld", pld, "True or False")
        if pld:
            check_installed()
        self._pld = bool(pld)
        self._events: dict[Event, int] = {}
        self._first: Event | None = None
        self._curve: RenyiCurve | None = None

    def __repr__(self) -> str:
        releases = sum(self._events.values())
        whom = "" if self._first is None else f", {self._first.relation}, {self._first.unit}"
        return f"{type(self).__name__}({releases} releases, {len(self._events)} different{whom})"

    def __getstate__(self) -> dict[str, object]:
        # A curve holds functions, and is made again when it is asked for.
        return self.__dict__ | {"_curve": None}

    @property
    def events(self) -> Mapping[Event, int]:
        """How often each event happened, composed ones taken apart; read-only."""
        return MappingProxyType(self._events)

    def compose(self, event: Event, count: int = 1) -> Self:
        """Adds `count` releases like `event`, each of which may depend on what was released before.

        Returns:
            The accountant itself.

        Raises:
            InvalidParameterError: `count` is no integer from 0 to 2**63.
            UnsupportedEventError: there is no valid bound for the event.
            UnlikeEventsError: the event is about other neighbours than those before it. Like after any error, nothing
                was added.
        """
        count = check_count("count", count)
        check_supported(event)
        check_alike(self._first or event, offered=event)
        self._first = self._first or event
        for part, times in _apart(event, count):
            self._events[part] = self._events.get(part, 0) + times
        self._curve = None
        return self

    @property
    def pld(self) -> bool:
        """Whether privacy loss distributions are asked too."""
        return self._pld

    def copy(self, *, pld: bool | None = None) -> Self:
        """Returns an accountant that has seen the same, and goes its own way from here.

        Args:
            pld: whether it asks privacy loss distributions too; None is as this one does.

        Raises:
            MissingExtraError: `pld` was asked for, and is not installed.
        """
        twin = type(self)(pld=self._pld if pld is None else pld)
        twin._events.update(self._events)
        twin._first, twin._curve = self._first, self._curve
        return twin

    def rdp(self, orders: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Returns the sum of the curves: an upper bound on the Renyi divergence of each order.

        Args:
            orders: each at least 1 (there it bounds the Kullback-Leibler divergence) and at most 2**20, or infinite
                (there it is the largest privacy loss: infinite unless nothing was released), shape (n,).

        Returns:
            The bounds, shape (n,).
        """
        if isinstance(orders, np.ndarray) and orders.ndim == 1:
            orders = orders.tolist()
        several = check_sequence("orders", orders, allowed="a sequence of numbers")
        checked = np.array([_order(order) for order in several], dtype=np.float64)
        curve, finite = self._renyi(), np.isfinite(checked)
        rdp = np.full(checked.shape, 0.0 if curve.nothing else math.inf)
        rdp[finite] = curve(checked[finite])
        return rdp

    @ignoring("under")
    def epsilon(self, delta: float) -> Bound:
        """Returns the smallest known epsilon for `delta`.

        At 0 it is infinite unless nothing was released, as the noise of every event has tails; at 1 it is 0.

        Raises:
            InvalidParameterError: `delta` is not between 0 and 1.
            ComputationTooLargeError: `pld` was asked for, and would take minutes or gigabytes.
        """
        delta = check_closed_delta(delta)
        return min(self._epsilons(delta), key=lambda bound: bound.value)

    @ignoring("under")
    def delta(self, epsilon: float) -> Bound:
        """Returns the smallest known delta for `epsilon`; a delta below the smallest float is 0.

        At infinity it is 0 unless something was released without any protection.

        Raises:
            InvalidParameterError: `epsilon` is below 0 or NaN.
            ComputationTooLargeError: `pld` was asked for, and would take minutes or gigabytes.
        """
        epsilon = check_extended_epsilon(epsilon)
        return min(self._deltas(epsilon), key=lambda bound: bound.value)

    def would_exceed(self, event: Event, count: int, epsilon: float, delta: float) -> bool:
        """Returns whether `count` more releases like `event` would bring epsilon above `epsilon` at `delta`.

        Raises:
            DPError: as `compose`, `epsilon` and `delta` do.
        """
        epsilon, delta = check_extended_epsilon(epsilon), check_closed_delta(delta)
        return not self.copy().compose(event, count).epsilon(delta).value <= epsilon

    def remaining(self, event: Event, epsilon: float, delta: float) -> int:
        """Returns how many more releases like `event` keep epsilon at or below `epsilon` at `delta`.

        Returns:
            The largest such count, at most 2**63; 0 also if epsilon is above already. Counts for which `pld` would be
            refused are judged without it.

        Raises:
            DPError: as `compose`, `epsilon` and `delta` do.

        Cost:
            That of a dozen calls of `epsilon`.
        """
        epsilon, delta = check_extended_epsilon(epsilon), check_closed_delta(delta)

        @cache
        def excess(count: int) -> float:
            if count > MAX_COUNT:
                return math.inf
            spent = self.copy().compose(event, count)._epsilon_at_any_cost(delta)
            # Infinite targets hold whatever was spent, and infinity less itself is no number.
            return 0.0 if spent <= epsilon == math.inf else spent - epsilon

        if excess(1) > 0:
            return 0
        if excess(MAX_COUNT) <= 0:
            return MAX_COUNT
        # First about: on a logarithmic scale, with more releases to the left, so that the excess falls.
        most = math.log(MAX_COUNT)
        about = falling_root(
            lambda depth: excess(max(1, int(math.exp(most - depth)))), low=0.0, high=most, tolerance=1e-9
        )
        fits = max(1, int(math.exp(most - about)))
        # Then exactly: up in steps that double until one does not fit, and down again.
        step = 1
        while excess(fits + step) <= 0:
            fits += step
            step *= 2
        while step > 1:
            step //= 2
            if excess(fits + step) <= 0:
                fits += step
        return fits

    def _epsilon_at_any_cost(self, delta: float) -> float:
        """Returns epsilon, without `pld` where that would be refused."""
        try:
            return self.epsilon(delta).value
        except ComputationTooLargeError:
            return self.copy(pld=False).epsilon(delta).value

    def _renyi(self) -> RenyiCurve:
        if self._curve is None:
            self._curve = RenyiCurve(self._events)
        return self._curve

    def _epsilons(self, delta: float) -> Iterator[Bound]:
        curve = self._renyi()
        if curve.nothing:
            yield Bound(0.0, None, Method.NOTHING)
        elif delta == 1:
            yield Bound(0.0, None, Method.TOTAL_VARIATION)
        elif delta == 0:
            # Every kind of noise here has tails, in which no ratio of probabilities is bounded.
            yield Bound(math.inf, None, Method.NO_GUARANTEE)
        elif curve.infinite:
            yield Bound(math.inf, None, Method.NO_GUARANTEE)
            yield from self._epsilon_of_single(delta)
        elif _total_variation(curve, delta) <= delta:
            yield Bound(0.0, None, Method.TOTAL_VARIATION)
        else:
            if curve.unsampled_precision is not None:
                exact = gaussian_epsilon(math.sqrt(curve.unsampled_precision), delta=delta)
                yield Bound(exact, None, Method.UNSAMPLED_GAUSSIAN if curve.sampled else Method.ANALYTIC_GAUSSIAN)
            if curve.unsampled_precision is None or curve.sampled:
                best = best_epsilon(curve, delta)
                yield Bound(best.value, best.order, Method.RDP)
            yield from self._epsilon_of_single(delta)
            with_pld = pld_epsilon(curve, delta) if self._pld else None
            if with_pld is not None:
                yield Bound(with_pld, None, Method.PLD)

    def _deltas(self, epsilon: float) -> Iterator[Bound]:
        curve = self._renyi()
        if curve.nothing:
            yield Bound(0.0, None, Method.NOTHING)
        elif curve.infinite:
            yield Bound(1.0, None, Method.NO_GUARANTEE)
            yield from self._delta_of_single(epsilon)
        elif epsilon == math.inf:
            # No outcome is impossible for a neighbour.
            yield Bound(0.0, None, Method.TOTAL_VARIATION)
        else:
            yield Bound(_total_variation(curve, 0.0), None, Method.TOTAL_VARIATION)
            if curve.unsampled_precision is not None:
                exact = gaussian_delta(math.sqrt(curve.unsampled_precision), epsilon=epsilon)
                yield Bound(exact, None, Method.UNSAMPLED_GAUSSIAN if curve.sampled else Method.ANALYTIC_GAUSSIAN)
            if curve.unsampled_precision is None or curve.sampled:
                best = best_delta(curve, epsilon)
                yield Bound(best.value, best.order, Method.RDP)
            yield from self._delta_of_single(epsilon)
            with_pld = pld_delta(curve, epsilon) if self._pld else None
            if with_pld is not None:
                yield Bound(with_pld, None, Method.PLD)

    def _single(self) -> tuple[float, "RdpAccountant"] | None:
        """Returns the sampled part of a sampled release, and an accountant of what it samples, if that is all."""
        happened = [(event, count) for event, count in self._events.items() if count]
        if len(happened) != 1 or happened[0][1] != 1:
            return None
        event = happened[0][0]
        if isinstance(event, PoissonSampled):
            part = event.probability
        elif isinstance(event, SampledWithoutReplacement):
            part = event.sample / event.population
        else:
            return None
        return None if part in (0, 1) else (part, RdpAccountant().compose(event.event))

    def _epsilon_of_single(self, delta: float) -> Iterator[Bound]:
        single = self._single()
        if single is not None:
            part, inner = single
            epsilon = inner.epsilon(_rounded_down(delta / part * (1 - _ROUNDING))).value if delta < part else 0.0
            # log(1 + q (e^epsilon - 1)), for large epsilons without the power.
            small = epsilon < 1
            grown = (
                math.log1p(part * math.expm1(epsilon)) if small else math.log(part + (1 - part) * math.exp(-epsilon))
            )
            value = grown if small else epsilon + grown
            yield Bound(max(0.0, value + _ROUNDING * epsilon), None, Method.SINGLE_RELEASE)

    def _delta_of_single(self, epsilon: float) -> Iterator[Bound]:
        single = self._single()
        if single is not None:
            part, inner = single
            # Its inverse: log(1 + (e^epsilon - 1)/q).
            inside = (
                math.log1p(math.expm1(epsilon) / part)
                if epsilon < 1
                else epsilon + math.log((1 - (1 - part) * math.exp(-epsilon)) / part)
            )
            value = part * inner.delta(max(0.0, inside * (1 - _ROUNDING))).value
            yield Bound(rounded_up(value * (1 + _ROUNDING)), None, Method.SINGLE_RELEASE)


def _rounded_down(delta: float) -> float:
    """Returns a delta at or below one that was rounded: a subnormal number has few digits."""
    return delta if delta >= SMALLEST_NORMAL else math.nextafter(delta, 0.0)


def _order(order: object) -> float:
    """Returns a Renyi order as a float."""
    if isinstance(order, float | np.floating) and order == math.inf:
        return math.inf
    return check_real("orders", order, low=1.0, high=_LARGEST_ORDER)


def _apart(event: Event, count: int) -> Iterator[tuple[Event, int]]:
    if isinstance(event, Composed):
        for part, times in event.events:
            yield from _apart(part, times * count)
    else:
        yield event, count


def _total_variation(curve: RenyiCurve, delta: float) -> float:
    """Returns a bound on the total variation; where that takes time, only if it may be near `delta`."""
    bound = curve.total_variation()
    # The divergence of order 2 is an upper bound on that of order 1, and rarely more than ten times as large.
    rough = total_variation_of(curve.at(2.0))
    if curve.pairs < _CHEAP or delta < rough <= 10 * delta:
        rough = total_variation_of(curve.at(1.0))
    return min(bound, rough) * (1 + _ROUNDING)
