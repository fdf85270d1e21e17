"""The fields of a plan: the one JSON form that each of them has, and its range."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from dp.accounting.accountant import Method
from dp.exact_json import Codec, Integer, Member, Optional, Rational, SamplingCodec, Text
from dp.vocabulary import DISTRIBUTED_DISCRETE_GAUSSIAN, SKELLAM, Adversary, Relation, Unit

__all__ = ["FIELDS", "LARGEST_LOCAL_VARIANCE", "SMALLEST_GAUSSIAN_SHARE"]

LARGEST_LOCAL_VARIANCE: Final = 10**8
"""The largest variance of one client's noise. Its standard deviation is 10**4 steps; rounding adds less than 1e-8."""

SMALLEST_GAUSSIAN_SHARE: Final = Fraction(1, 4)
"""The smallest variance of a discrete Gaussian share: below a standard deviation of 1/2 nothing is proved of sums."""

_MAX_CLIENTS: Final = 2**32
_MAX_DIMENSION: Final = 2**40
_MAX_NORM: Final = 2**96
_MAX_BITS: Final = 64
_MOST_BIT_VARIANCE: Final = 2**64
_LEAST_VARIANCE: Final = Fraction(1, 2**80)
"""The samplers make no smaller noise."""

_POSITIVE: Final = Rational(positive=True)
_PROBABILITY: Final = Rational(positive=True, high=Fraction(1))
_PEOPLE: Final = Integer(1, _MAX_CLIENTS)

FIELDS: Final[Mapping[str, Codec]] = {
    "mechanism": Text(frozenset({SKELLAM, DISTRIBUTED_DISCRETE_GAUSSIAN})),
    "relation": Member(Relation),
    "unit": Member(Unit),
    "adversary": Member(Adversary),
    "target_epsilon": _POSITIVE,
    "delta": _PROBABILITY,
    "rounds": Integer(1, 2**63),
    "sampling": Optional(SamplingCodec()),
    "clients": _PEOPLE,
    "vectors_per_client": _PEOPLE,
    "min_survivors": _PEOPLE,
    "colluders": Integer(0, _MAX_CLIENTS),
    "clip": _POSITIVE,
    "dimension": Integer(1, _MAX_DIMENSION),
    "padded_dimension": Integer(1, _MAX_DIMENSION),
    "scale": _POSITIVE,
    "beta": _PROBABILITY,
    "squared_norm_bound": Integer(1, _MAX_NORM),
    "l1_bound": Integer(1, _MAX_NORM),
    "local_variance": Rational(positive=True, low=_LEAST_VARIANCE, high=Fraction(LARGEST_LOCAL_VARIANCE)),
    "clip_bit_variance": Optional(Rational(positive=True, low=_LEAST_VARIANCE, high=Fraction(_MOST_BIT_VARIANCE))),
    "modulus_bits": Integer(1, _MAX_BITS),
    "smallest_modulus_bits": Integer(1, _MAX_BITS),
    "wrap_probability": Rational(high=Fraction(1)),
    "inflation": _POSITIVE,
    "promised_epsilon": Rational(),
    "order": Optional(Rational()),
    "method": Member(Method),
}
"""The one JSON form of each field."""
