"""How much noise a target needs: the least for which the accountant's own epsilon is not above it.

What is returned has been evaluated: the promise does not rest on the accuracy of the search, only its price does.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Final

from dp.accounting.accountant import RdpAccountant
from dp.accounting.roots import falling_root
from dp.checks import check_count, check_delta, check_real
from dp.errors import ComputationTooLargeError, InvalidParameterError
from dp.events import Event, Gaussian, PoissonSampled
from dp.vocabulary import Relation, Unit

__all__ = ["calibrate", "noise_multiplier"]

_TOLERANCE: Final = 1e-8
"""The result may be above the least noise by this, relatively."""

_TIGHT_TOLERANCE: Final = 1e-6
"""The same with privacy loss distributions, each of which takes seconds."""

_FIRST_STEP: Final = 0.1
"""Privacy loss distributions save some per cent of the noise, as a rule."""

_OUT_OF_REACH: Final = "reachable with the most noise allowed"

_LEAST: Final = 2.0**-30
_MOST: Final = 2.0**100


def calibrate(
    make_event: Callable[[float], Event],
    epsilon: float,
    delta: float,
    *,
    count: int = 1,
    spent: RdpAccountant | None = None,
    least: float = _LEAST,
    most: float = _MOST,
    pld: bool = False,
) -> float:
    """Returns the least noise for which `count` releases keep to (epsilon, delta).

    Args:
        make_event: the release with a given noise; more noise must not mean more epsilon. The argument is a float and
            so an exact rational: `Fraction(noise)` is the variance that was evaluated.
        epsilon: the target, above 0.
        delta: strictly between 0 and 1.
        count: how many such releases.
        spent: what has been released before; it is left as it is. None is nothing.
        least: the least noise that `make_event` accepts.
        most: the most noise that is tried.
        pld: by an accountant with `pld=True`; as if it were True where `spent` is one.

    Returns:
        A noise, at most 1e-8 of itself above the least; with `pld` 1e-6, and not less than what can be evaluated.

    Raises:
        InvalidParameterError: no noise up to `most` is enough, or an argument is out of range.
        MissingExtraError: `pld` was asked for, and is not installed.
        ComputationTooLargeError: `pld` was asked for, and would take minutes or gigabytes even for the noise that is
            enough without it.

    Guarantees:
        The accountant was asked about exactly this noise and its epsilon was at most `epsilon`.

    Cost:
        About ten calls of `RdpAccountant.epsilon`, and with `pld` ten more that take seconds.
    """
    epsilon, delta = check_real("epsilon", epsilon, low=0.0, open_low=True), check_delta(delta)
    count = check_count("count", count, low=1)
    least = check_real("least", least, low=0.0, open_low=True)
    most = check_real("most", most, low=least, open_low=True)
    if not callable(make_event):
        raise InvalidParameterError("make_event", type(make_event).__name__, "a function of the noise")
    if spent is not None and not isinstance(spent, RdpAccountant):
        raise InvalidParameterError("spent", type(spent).__name__, "an RdpAccountant, or None")
    spent = spent if spent is not None else RdpAccountant()
    tight = spent if spent.pld or not pld else spent.copy(pld=True)
    plain = spent.copy(pld=False)
    # What is too much by all bounds is so by the tight one, which need not be evaluated where the plain one is enough.
    if plain.epsilon(delta).value > epsilon and tight.epsilon(delta).value > epsilon:
        raise InvalidParameterError("epsilon", epsilon, "at least what is spent already")

    ends = math.log(least), math.log(most)

    def noise_at(depth: float) -> float:
        # The ends are as given, not as rounded by a logarithm and back.
        return least if depth <= ends[0] else most if depth >= ends[1] else math.exp(depth)

    def excess(accountant: RdpAccountant, depth: float) -> float:
        # In logarithms, epsilon falls along a line, nearly.
        value = accountant.copy().compose(make_event(noise_at(depth)), count).epsilon(delta).value
        return math.log(value / epsilon) if value > 0 else -1.0

    bracket = _bracket(lambda depth: excess(plain, depth), *ends)
    if bracket is None and not tight.pld:
        raise InvalidParameterError("epsilon", epsilon, _OUT_OF_REACH)
    enough = ends[1] if bracket is None else _root(lambda depth: excess(plain, depth), bracket, _TOLERANCE)
    if tight.pld and enough > ends[0]:
        # Where this is refused, the whole is. Else what is refused is less noise, and passes for too little.
        if excess(tight, enough) > 0:
            raise InvalidParameterError("epsilon", epsilon, _OUT_OF_REACH)
        below = _or_infinite(lambda depth: excess(tight, depth))
        enough = _root(below, _bracket_below(below, ends[0], enough), _TIGHT_TOLERANCE)
    return noise_at(enough)


def noise_multiplier(
    epsilon: float,
    delta: float,
    *,
    probability: float = 1.0,
    count: int = 1,
    relation: Relation = Relation.ADD_REMOVE,
    unit: Unit = Unit.EXAMPLE,
    pld: bool = False,
) -> float:
    """Returns the least noise multiplier of the Gaussian, Poisson-sampled unless `probability` is 1.

    Args:
        epsilon: the target, above 0.
        delta: strictly between 0 and 1.
        probability: of each participant to be in a sample, above 0 and at most 1.
        count: how many releases.
        relation: the neighbouring relation.
        unit: the unit of privacy.
        pld: by an accountant with `pld=True`: some per cent less noise, and a minute at most.

    Returns:
        The noise over the L2 sensitivity, at most 1e-8 of itself above the least (with `pld` 1e-6), and never below it.

    Raises:
        InvalidParameterError: an argument is out of range.
        MissingExtraError: `pld` was asked for, and is not installed.
        ComputationTooLargeError: `pld` was asked for, and would take minutes or gigabytes.
    """
    probability = check_real("probability", probability, low=0.0, high=1.0, open_low=True)

    def event(noise: float) -> Event:
        return PoissonSampled(probability, Gaussian(noise, relation, unit))

    return calibrate(event, epsilon, delta, count=count, pld=pld)


def _root(excess: Callable[[float], float], bracket: tuple[float, float], tolerance: float) -> float:
    low, high = bracket
    return falling_root(excess, low=low, high=high, tolerance=tolerance) if low < high else low


def _or_infinite(excess: Callable[[float], float]) -> Callable[[float], float]:
    """Returns an excess that is infinite where the other one is too large to be computed, and remembers its values."""

    @cache
    def extended(depth: float) -> float:
        try:
            return excess(depth)
        except ComputationTooLargeError:
            return math.inf

    return extended


def _bracket(excess: Callable[[float], float], least: float, most: float) -> tuple[float, float] | None:
    """Returns a depth where the excess is above 0 and one where it is not.

    It is twice the least if it is not even there, and None if it is even at the most.
    """
    here = min(most, max(least, 0.0))
    at_here = excess(here)
    step = 0.0
    while True:
        # As if epsilon were inversely proportional to the noise, and somewhat farther every time.
        step = max(1.5 * step, 0.1, min(3.0, 1.1 * abs(at_here)))
        there = min(most, here + step) if at_here > 0 else max(least, here - step)
        at_there = excess(there)
        if at_here > 0 >= at_there:
            return here, there
        if at_there > 0 >= at_here:
            return there, here
        if there == least:
            return least, least
        if there == most:
            return None
        here, at_here = there, at_there


def _bracket_below(excess: Callable[[float], float], least: float, enough: float) -> tuple[float, float]:
    """Returns a depth where the excess is above 0 and the next one tried, where it is not; or twice the least."""
    step = _FIRST_STEP
    while enough > least:
        there = max(least, enough - step)
        if excess(there) > 0:
            return there, enough
        enough = there
        step *= 2
    return least, least
