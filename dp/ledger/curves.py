"""Renyi curves of a ledger's events by published formulas, at fixed orders: no search, and many at once.

The accountant finds the best order, and has a numerical bound for Skellam noise, for one composition at a time. Here
are the curves of many different events: what a record claims is computed at `ORDERS` only, so that another program
recomputes it in a few lines, and ten thousand different rounds take a second. The best of these orders costs about a
thousandth of epsilon against the best of all.

Every figure is for the ledger's delta less the share that the samplers need: if (epsilon, delta) holds for true noise,
samples that are off by a total variation of v together give (epsilon, delta + (1 + e^epsilon) v).
"""

import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from dp.accounting.accountant import Bound, Method
from dp.events import (
    Composed,
    DistributedDiscreteGaussian,
    Event,
    Gaussian,
    PoissonSampled,
    SampledWithoutReplacement,
    Skellam,
)
from dp.ledger.events import float_below
from dp.noise.samplers import TOTAL_VARIATION_BITS
from dp.renyi.curve import RenyiCurve, check_supported
from dp.renyi.sampled_curves import WithoutReplacementCurve
from dp.renyi.sampled_gaussian import poisson_gaussian_rdp
from dp.renyi.shares import distributed_discrete_gaussian_rdp, skellam_rdp

__all__ = ["ORDERS", "epsilons_at_orders", "has_shares", "many_curves", "with_samplers"]

_Array = npt.NDArray[np.float64]


def _orders() -> _Array:
    orders = [2]
    while orders[-1] < 512:
        orders.append(max(orders[-1] + 1, orders[-1] * 11 // 10))
    return np.array([*orders, 1024, 2048, 4096, 10**4], dtype=np.float64)


ORDERS: Final = _orders()
"""Integers, as some theorems are for no others; from 20 on each is about a tenth above the one before."""

_ROUNDING: Final = 1e-12
"""Relative, of the terms of an epsilon: what may be lost in computing them."""

_MOST_GUESSES: Final = 40
"""The first guess of the samplers' share is nearly always enough; where it keeps growing, nothing is finite."""


def has_shares(event: Event) -> bool:
    """Returns whether participants added the noise: then there is one formula an event, else arrays of many."""
    if isinstance(event, Composed):
        return any(has_shares(part) for part, _ in event.events)
    if isinstance(event, SampledWithoutReplacement):
        return has_shares(event.event)
    return isinstance(event, Skellam | DistributedDiscreteGaussian)


def many_curves(events: Iterable[Event]) -> dict[Event, _Array]:
    """Returns the divergences of each event at `ORDERS`.

    Raises:
        UnsupportedEventError: there is no valid bound for one of them.
    """
    curves: dict[Event, _Array] = {}
    alike: list[tuple[Event, float, float]] = []
    for event in events:
        if isinstance(event, PoissonSampled) and isinstance(event.event, Gaussian) and 0 < event.probability < 1:
            check_supported(event)
            alike.append((event, event.probability, event.event.noise_multiplier))
        else:
            curves[event] = _published(event, ORDERS)
    if alike:
        probability, sigma = np.array([entry[1:] for entry in alike]).T
        rows = np.array([poisson_gaussian_rdp(float(order), probability, sigma) for order in ORDERS])
        curves |= {entry[0]: row for entry, row in zip(alike, rows.T, strict=True)}
    return curves


def epsilons_at_orders(curves: _Array, delta: Fraction, samples: _Array) -> _Array:
    """Returns the epsilons of curves at `ORDERS`.

    Args:
        curves: divergences, shape (n, orders).
        delta: of the ledger.
        samples: of noise in each, shape (n,).
    """

    def epsilon(deltas: _Array) -> _Array:
        return np.asarray(np.maximum(_converted(ORDERS, curves, deltas).min(axis=1), 0.0))

    return _with_samplers(epsilon, delta, samples)


def with_samplers(epsilon: Callable[[float], Bound], delta: Fraction, samples: int) -> Bound:
    """Returns the bound for noise from the samplers.

    Args:
        epsilon: the bound for true noise, by delta.
        delta: of the ledger.
        samples: of noise, in all.
    """
    bound = Bound(math.inf, None, Method.NO_GUARANTEE)

    def value(deltas: _Array) -> _Array:
        nonlocal bound
        bound = epsilon(float(deltas[0]))
        return np.array([bound.value])

    result = _with_samplers(value, delta, np.array([float(samples)]))[0]
    return bound if bound.value == result else Bound(math.inf, None, Method.NO_GUARANTEE)


def _published(event: Event, orders: _Array) -> _Array:
    """Returns upper bounds at `orders`; for Skellam noise without the numerical bound, which costs far more."""
    if isinstance(event, Skellam):
        return skellam_rdp(orders, event)
    if isinstance(event, DistributedDiscreteGaussian):
        return distributed_discrete_gaussian_rdp(orders, event)
    if has_shares(event) and isinstance(event, Composed):
        return np.asarray(sum(count * _published(part, orders) for part, count in event.events), dtype=np.float64)
    if has_shares(event) and isinstance(event, SampledWithoutReplacement) and event.sample < event.population:
        inner = event.event
        part = event.sample / event.population
        return WithoutReplacementCurve(lambda inner_orders: _published(inner, inner_orders), part)(orders)
    if has_shares(event) and isinstance(event, SampledWithoutReplacement):
        return _published(event.event, orders)
    return RenyiCurve({event: 1})(orders)


def _converted(orders: _Array, curves: _Array, deltas: _Array) -> _Array:
    """Returns the epsilons at each order (Canonne, Kamath, Steinke 2020, Prop. 12), with what rounding may take."""
    loss = (np.log(deltas)[:, None] + np.log(orders)) / (orders - 1)
    epsilons = curves - np.log1p(1 / (orders - 1)) - loss + _ROUNDING * (curves + np.abs(loss))
    # What is no number is no bound.
    return np.where(np.isnan(epsilons), math.inf, epsilons)


def _with_samplers(epsilon: Callable[[_Array], _Array], delta: Fraction, samples: _Array) -> _Array:
    """Solves for the epsilon whose own share of delta is what was left for the samplers."""
    whole = np.full(len(samples), float_below(delta))
    result = epsilon(whole)
    if not samples.any():
        return result
    guess = result
    for _ in range(_MOST_GUESSES):
        # A share for an epsilon a little larger: if what comes out is no larger than that, the share is enough for it.
        guess = result * (1 + 1e-9) + 1e-12
        with np.errstate(over="ignore", invalid="ignore"):
            share = np.where(samples > 0, (1 + np.exp(guess)) * np.ldexp(samples, -TOTAL_VARIATION_BITS), 0.0)
        left = whole - share * (1 + _ROUNDING)
        # Rounding towards a smaller delta, which is never wrong.
        left = np.where(share > 0, np.nextafter(left, 0.0), left)
        hopeless = ~(left > 0)
        result = np.where(hopeless, math.inf, epsilon(np.where(hopeless, whole, left)))
        if np.all((result <= guess) | hopeless):
            return result
    return np.where(result <= guess, result, math.inf)
