"""Choosing lattice, noise and modulus for private sums in which every client adds a share of the noise.

What is looked for is the finest lattice that the modulus has room for, and the least noise that keeps the promise on
it. The finer the lattice, the less rounding adds to the sensitivity and so to the noise, and the larger are the sums.

A plan is for this order: flatten, clip to an L2 norm in float64, multiply by the weight over its public cap, append
side values, pad with zeros, rotate (random signs, then Hadamard), clip all of it to `clip`, scale, round under the norm
bound, add the local noise, reduce modulo 2**modulus_bits; sum securely; centre, unscale, rotate back.
"""

import math
from dataclasses import replace
from fractions import Fraction
from typing import Final, Literal

import numpy as np

from dp.accounting.accountant import Method
from dp.accounting.roots import falling_root
from dp.checks import check_count, check_delta, check_member, check_real
from dp.errors import InvalidParameterError
from dp.mechanisms.rounding import LIKELY, largest_l1, scaled_clip_of, squared_norm_bound
from dp.noise.samplers import TOTAL_VARIATION_BITS
from dp.shares.fields import LARGEST_LOCAL_VARIANCE, SMALLEST_GAUSSIAN_SHARE
from dp.shares.modulus import WRAP_PROBABILITY, largest_sum_variance, needed_bits, sum_variance
from dp.shares.plan import DistributedPlan
from dp.vocabulary import DISTRIBUTED_DISCRETE_GAUSSIAN, SKELLAM, Adversary, Relation, Sampling, Unit

__all__ = ["MAX_INFLATION", "InfeasiblePlanError", "plan"]

MAX_INFLATION: Final = 1.1
"""What rounding may add to the noise, unless more is allowed: a tenth. One more bit of modulus makes it a fortieth."""

_FINEST: Final = 2.0**40
"""The clip norm in steps of the lattice, at most: float64 then still has 12 bits of each step."""

_CLIP_RANGE: Final = (2.0**-500, 2.0**500)
"""No scale leaves the range of a float."""

_SMALLEST_VARIANCE: Final = Fraction(1, 2**40)
"""Skellam noise of less would promise nothing."""

_DIGITS: Final = 40
"""A variance is rounded up to this many bits after its first: by a relative 1e-12."""

_TOLERANCE: Final = 2e-7
"""Relative, of the variance: noise is at most so much above what the promise takes."""

_WORTHWHILE: Final = 1e-3
"""A lattice that is finer by no more than this is not looked for."""

_MARGIN: Final = 1e-6
"""This part of the room is left free, so that a small change of the noise does not exceed it."""

_STEP_BACK: Final = 0.9
"""Where even the most noise was too little, a lattice is tried that needs so much of it."""

_MOST_BIT_NOISE: Final = 2**64
"""Variance: more than any modulus has room for."""

_MOST_LATTICES: Final = 8
"""Lattices tried; two or three are usual."""

_MOST_GUESSES: Final = 200
_MOST_SECANTS: Final = 12
"""Variances tried; three are usual. After this many secants the bracket is halved."""


class InfeasiblePlanError(InvalidParameterError):
    """No plan keeps the promise within the limits. Fields: as its base, and `smallest_modulus_bits`.

    The text says what would be feasible. `smallest_modulus_bits` is None where no modulus is large enough.
    """

    def __init__(self, parameter: str, offered: object, allowed: str, smallest_modulus_bits: int | None = None) -> None:
        super().__init__(parameter, offered, allowed)
        self.smallest_modulus_bits = smallest_modulus_bits

    def __reduce__(self) -> tuple[type["InfeasiblePlanError"], tuple[str, object, str, int | None]]:
        return type(self), (self.parameter, self.offered, self.allowed, self.smallest_modulus_bits)


def plan(
    *,
    epsilon: float,
    delta: float,
    rounds: int,
    sampling: Sampling | Literal["none"] | None = None,
    clip: float,
    dimension: int,
    clients: int,
    min_survivors: int,
    colluders: int = 0,
    modulus_bits: int,
    mechanism: str = SKELLAM,
    adversary: Adversary = Adversary.PARTICIPANT,
    relation: Relation | None = None,
    unit: Unit = Unit.CLIENT,
    vectors_per_client: int = 1,
    clip_bit_noise: float | None = None,
    max_inflation: float = MAX_INFLATION,
) -> DistributedPlan:
    """Plans a number of private sums, calibrated to what `min_survivors` clients less the colluders add in noise.

    Args:
        epsilon: of all rounds together, above 0.
        delta: of all rounds together, the samplers' share included; above 0 and below 1.
        rounds: how many sums.
        sampling: a secret sample of a fixed size that each round's clients are; None or "none" if all who are
            there take part. It amplifies only against those who do not know it: see `adversary`.
        clip: L2 norm of what a client (or one example) contributes: of its clipped update times weight over weight cap,
            and of all side values with it.
        dimension: entries of that vector.
        clients: how many are invited to a round; the modulus has room for the vectors and the noise of all.
        min_survivors: the fewest with whose help a sum is released.
        colluders: of the survivors, those whose noise the adversary knows.
        modulus_bits: of the secure sum, 1 to 64.
        mechanism: "skellam", or "distributed-discrete-gaussian".
        adversary: who the promise is against: participants (the server, and all who saw a roster) or outsiders.
        relation: zero-out by default, and replace-one, the only one, where sampling amplifies.
        unit: whose privacy. For that of single examples, each example's vector is clipped and rounded on its own, and
            the client sends the sum.
        vectors_per_client: of examples, the most that a client adds up.
        clip_bit_noise: the standard deviation of the noise in the released *sum of the bits* (each 0 or 1, at
            `min_survivors`) by which the clip norm adapts; None without such bits. The update gets as much more noise
            as it takes to keep the promise with both.
        max_inflation: by what rounding may raise the noise, above 1.

    Returns:
        The plan.

    Raises:
        InvalidParameterError: a value is out of range, sampling is Poisson's, or the relation is add/remove.
        InfeasiblePlanError: the modulus has no room, the noise would be too wide for any lattice allowed, or the
            samplers use up delta.

    Guarantees:
        `epsilon` of the plan, worked out from the integers and rationals in it, is at most what was asked for. The
        noise's standard deviation is at most a relative 2e-7 above what that takes on the lattice chosen, but for
        discrete Gaussian shares, whose standard deviation is at least 1/2.

    Cost:
        Some hundredths of a second to some tenths; a second or more for vectors of a few steps, where the numerical
        divergence decides, and for secret samples.
    """
    if isinstance(sampling, str) and sampling == "none":
        sampling = None
    draft = _draft(
        epsilon=epsilon,
        delta=delta,
        rounds=rounds,
        sampling=sampling,
        clip=clip,
        dimension=dimension,
        clients=clients,
        min_survivors=min_survivors,
        colluders=colluders,
        modulus_bits=modulus_bits,
        mechanism=mechanism,
        adversary=adversary,
        relation=relation,
        unit=unit,
        vectors_per_client=vectors_per_client,
        clip_bit_noise=clip_bit_noise,
    )
    max_inflation = check_real("max_inflation", max_inflation, low=1.0, open_low=True)
    coarsest = min(_FINEST, scaled_clip_of(max_inflation, draft.padded_dimension, beta=LIKELY))
    best = _with_least_noise(_on_lattice(draft, coarsest))
    bits = needed_bits(draft.padded_dimension, probability=WRAP_PROBABILITY, variance=_sum_variance(best))
    smallest = max(1, math.ceil(bits))
    if draft.modulus_bits < smallest:
        raise _no_room(draft, smallest)
    return _finished(_finest(best), smallest)


def _draft(
    *,
    epsilon: float,
    delta: float,
    rounds: int,
    sampling: Sampling | None,
    clip: float,
    dimension: int,
    clients: int,
    min_survivors: int,
    colluders: int,
    modulus_bits: int,
    mechanism: str,
    adversary: Adversary,
    relation: Relation | None,
    unit: Unit,
    vectors_per_client: int,
    clip_bit_noise: float | None,
) -> DistributedPlan:
    """Returns a plan with what was asked for, whose lattice, noise and promise are still to be found."""
    if sampling is not None and not isinstance(sampling, Sampling):
        raise InvalidParameterError("sampling", sampling, 'None, "none" or a Sampling of a fixed size')
    if sampling is not None and sampling.probability is None and relation is None:
        relation = Relation.REPLACE_ONE if adversary is Adversary.OUTSIDER else Relation.ZERO_OUT
    dimension = check_count("dimension", dimension, low=1, high=2**40)
    min_survivors = check_count("min_survivors", min_survivors, low=1, high=2**32)
    colluders = check_count("colluders", colluders, low=0, high=2**32)
    padded = 1 << (dimension - 1).bit_length()
    return DistributedPlan(
        mechanism=mechanism,
        relation=Relation.ZERO_OUT if relation is None else check_member("relation", relation, Relation),
        unit=check_member("unit", unit, Unit),
        adversary=check_member("adversary", adversary, Adversary),
        target_epsilon=Fraction(check_real("epsilon", epsilon, low=0.0, open_low=True)),
        delta=Fraction(check_delta(delta)),
        rounds=check_count("rounds", rounds, low=1),
        sampling=sampling,
        clients=check_count("clients", clients, low=1, high=2**32),
        vectors_per_client=check_count("vectors_per_client", vectors_per_client, low=1, high=2**32),
        min_survivors=min_survivors,
        colluders=colluders,
        clip=Fraction(check_real("clip", clip, low=_CLIP_RANGE[0], high=_CLIP_RANGE[1])),
        dimension=dimension,
        padded_dimension=padded,
        scale=Fraction(1),
        beta=Fraction(LIKELY),
        squared_norm_bound=1,
        l1_bound=1,
        local_variance=Fraction(LARGEST_LOCAL_VARIANCE),
        clip_bit_variance=_bit_variance(clip_bit_noise, min_survivors - colluders, mechanism),
        modulus_bits=check_count("modulus_bits", modulus_bits, low=1, high=64),
        smallest_modulus_bits=1,
        wrap_probability=Fraction(0),
        inflation=Fraction(1),
        promised_epsilon=Fraction(0),
        order=None,
        method=Method.NOTHING,
    )


def _on_lattice(draft: DistributedPlan, scaled_clip: float) -> DistributedPlan:
    """Returns the draft on the lattice on which the clip norm is about this long."""
    scale = Fraction(scaled_clip / float(draft.clip))
    squared = squared_norm_bound(float(scale * draft.clip), draft.padded_dimension, beta=LIKELY)
    return replace(
        draft,
        scale=scale,
        squared_norm_bound=squared,
        l1_bound=largest_l1(squared, dimension=draft.padded_dimension),
        local_variance=Fraction(LARGEST_LOCAL_VARIANCE),
    )


def _with_least_noise(draft: DistributedPlan) -> DistributedPlan:
    """Returns the draft with the least noise that keeps its promise on its lattice.

    In logarithms, epsilon falls along nearly a line as the variance grows, so that secants from a good guess find the
    target in three steps or so. Whatever they do, the noise returned is one for which epsilon was worked out.
    """
    target, largest = float(draft.target_epsilon), _largest_epsilon(draft)
    if 0 < largest < target:
        # Nothing keeps so large a promise: what the samplers may be off by counts e^epsilon times.
        raise InfeasiblePlanError("epsilon", target, f"at most {math.floor(largest * 1e3) / 1e3:g} at this delta")
    smallest = SMALLEST_GAUSSIAN_SHARE if draft.mechanism == DISTRIBUTED_DISCRETE_GAUSSIAN else _SMALLEST_VARIANCE
    least, most = math.log(smallest), math.log(LARGEST_LOCAL_VARIANCE)
    too_little, enough = -math.inf, math.inf
    guess, slope = _gaussian_guess(draft)
    here, last = min(most, max(least, guess)), (math.nan, math.nan)
    for step in range(_MOST_GUESSES):
        found = replace(draft, local_variance=_rounded_up(math.exp(here)))
        excess = math.log(max(found.epsilon().value, 1e-300) / target)
        if -_TOLERANCE <= excess <= 0 or (excess <= 0 and (here == least or enough - too_little < _TOLERANCE)):
            return found
        if excess > 0 and here == most:
            break
        too_little, enough = (max(too_little, here), enough) if excess > 0 else (too_little, min(enough, here))
        secant = (excess - last[1]) / (here - last[0])
        if -40 < secant < -0.04:
            slope = secant
        last = here, excess
        here -= (excess + _TOLERANCE / 2) / slope if math.isfinite(excess) else -3
        if not too_little < here < enough or step > _MOST_SECANTS:
            here = (too_little + enough) / 2
        here = min(most, max(least, here))
    raise _too_much_noise(draft)


def _gaussian_guess(draft: DistributedPlan) -> tuple[float, float]:
    """Returns what continuous Gaussian noise would need without sampling.

    That is the logarithm of the local variance, and how fast the logarithm of epsilon changes with it.
    """
    order = 1 + np.geomspace(1e-4, 1e6, 1000)
    log_delta = math.log(draft.delta)
    # Prop. 12 of Canonne, Kamath, Steinke 2020, for what the divergence of all rounds may be.
    most = float(draft.target_epsilon) + np.log1p(1 / (order - 1)) + (log_delta + np.log(order)) / (order - 1)
    best = int((most / order).argmax())
    if most[best] <= 0:
        return math.log(LARGEST_LOCAL_VARIANCE), -1.0
    per_round = float(most[best] / order[best]) / draft.rounds
    variance = draft.squared_sensitivity / (2 * per_round * draft.honest_shares)
    return math.log(variance), -min(1.0, max(0.4, float(most[best] / draft.target_epsilon)))


def _finest(coarse: DistributedPlan) -> DistributedPlan:
    """Returns the plan on the finest lattice that the modulus and the limit of the noise have room for.

    Noise over sensitivity hardly depends on the lattice, so the plan for one says where to look for the next.
    """
    room = largest_sum_variance(coarse.modulus_bits, dimension=coarse.padded_dimension, probability=WRAP_PROBABILITY)
    best, like, part = coarse, coarse, 1 - _MARGIN
    for _ in range(_MOST_LATTICES):
        scaled_clip = _largest_clip(like, coarse.scaled_clip, part * room, part * LARGEST_LOCAL_VARIANCE)
        if scaled_clip <= best.scaled_clip * (1 + _WORTHWHILE):
            break
        try:
            like = _with_least_noise(_on_lattice(coarse, scaled_clip))
        except InfeasiblePlanError:
            part *= _STEP_BACK
            continue
        part = 1 - _MARGIN
        if _sum_variance(like) <= room:
            best = like
    return best


def _largest_clip(like: DistributedPlan, coarsest: float, room: float, most_noise: float) -> float:
    """Returns the largest c' from the coarsest on, if noise over sensitivity is that of a plan for another lattice."""
    dimension, clients, each = like.padded_dimension, like.clients, like.vectors_per_client
    ratio = float(like.local_variance / like.squared_norm_bound)

    def excess(minus_log: float) -> float:
        scaled_clip = math.exp(-minus_log)
        variance = ratio * squared_norm_bound(scaled_clip, dimension, beta=LIKELY)
        return (
            max(
                variance / most_noise,
                sum_variance(
                    scaled_clip, dimension=dimension, clients=clients, local_variance=variance, vectors_per_client=each
                )
                / room,
            )
            - 1
        )

    low, high = -math.log(_FINEST), -math.log(coarsest)
    if low >= high or excess(high) > 0:
        return coarsest
    return _FINEST if excess(low) <= 0 else math.exp(-falling_root(excess, low=low, high=high, tolerance=1e-9))


def _finished(found: DistributedPlan, smallest_modulus_bits: int) -> DistributedPlan:
    """Returns the plan with what follows from its lattice and its noise."""
    bound = found.epsilon()
    vector_wraps, bits_wrap = found.round_wraps()
    if bits_wrap > WRAP_PROBABILITY:
        offered = float(found.clip_bit_variance or 0)
        raise InfeasiblePlanError("clip_bit_noise", offered, "less, or modulus_bits more")
    return replace(
        found,
        smallest_modulus_bits=smallest_modulus_bits,
        wrap_probability=Fraction(min(1.0, vector_wraps + bits_wrap)),
        inflation=Fraction(math.sqrt(found.squared_norm_bound) / found.scaled_clip),
        promised_epsilon=Fraction(bound.value),
        order=None if bound.order is None else Fraction(bound.order),
        method=bound.method,
    )


def _sum_variance(found: DistributedPlan) -> float:
    return sum_variance(
        found.scaled_clip,
        dimension=found.padded_dimension,
        clients=found.clients,
        local_variance=float(found.local_variance),
        vectors_per_client=found.vectors_per_client,
    )


def _bit_variance(noise: float | None, honest_shares: int, mechanism: str) -> Fraction | None:
    """Returns the noise of one client on a bit that it sends as -1 or +1, so that the bits' sum has this noise."""
    if noise is None:
        return None
    noise = check_real("clip_bit_noise", noise, low=0.0, high=2.0**30, open_low=True)
    # A refusal of the number of shares names what it follows from, and comes after.
    variance = _rounded_up(4 * noise * noise / max(1, honest_shares), _MOST_BIT_NOISE)
    return max(variance, SMALLEST_GAUSSIAN_SHARE if mechanism == DISTRIBUTED_DISCRETE_GAUSSIAN else _SMALLEST_VARIANCE)


def _rounded_up(variance: float, most: int = LARGEST_LOCAL_VARIANCE) -> Fraction:
    """Returns a rational with few digits, at least as large, but for the largest allowed."""
    step = Fraction(2) ** (math.frexp(variance)[1] - _DIGITS)
    return min(math.ceil(Fraction(variance) / step) * step, Fraction(most))


def _no_room(draft: DistributedPlan, smallest: int) -> InfeasiblePlanError:
    others = "a larger epsilon, max_inflation or min_survivors, or fewer clients, need less"
    if smallest > 64:
        allowed = f"{smallest}, and no modulus has more than 64 bits; {others}"
        return InfeasiblePlanError("modulus_bits", draft.modulus_bits, allowed)
    return InfeasiblePlanError("modulus_bits", draft.modulus_bits, f"at least {smallest}; {others}", smallest)


def _largest_epsilon(draft: DistributedPlan) -> float:
    """Returns the epsilon up to which the samplers' share, samples (1 + e^epsilon) / 2^bits, stays below delta."""
    samples = draft.rounds * draft.clients * draft.noisy_coordinates
    room = float(draft.delta) * 2.0**TOTAL_VARIATION_BITS / samples
    return math.log(room - 1) if room > 2 else -math.inf


def _too_much_noise(draft: DistributedPlan) -> InfeasiblePlanError:
    """Returns the error for a promise that the widest noise allowed does not keep."""
    target = float(draft.target_epsilon)
    least = replace(draft, local_variance=Fraction(LARGEST_LOCAL_VARIANCE)).epsilon().value
    if least == math.inf:
        samples = draft.rounds * draft.clients * draft.noisy_coordinates
        allowed = f"above {samples:.3g} (1 + e^epsilon) / 2^{TOTAL_VARIATION_BITS}, which the samplers may be off by"
        return InfeasiblePlanError("delta", float(draft.delta), allowed)
    hints = [f"at least {math.ceil(least * 1e6) / 1e6:.6f} with these clients and this max_inflation"]
    shares = math.ceil(draft.honest_shares * math.exp(_gaussian_guess(draft)[0]) / LARGEST_LOCAL_VARIANCE * 1.001)
    if shares + draft.colluders <= draft.clients:
        hints.append(f"min_survivors at least {shares + draft.colluders}")
    return InfeasiblePlanError("epsilon", target, ", or ".join(hints))
