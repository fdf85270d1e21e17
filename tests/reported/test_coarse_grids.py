"""A codec whose rounding is usually larger than its clip is refused, with the bits that it needs."""

import pickle
from typing import Any

import numpy as np
import pytest

import fl
from dp import InfeasiblePlanError
from fl.codecs import LowBit
from fl.errors import GridTooCoarseError
from fl.private import make_plan

SCHEMA = fl.ArraySchema.of({"w": np.zeros(4000)})


def codec(**change: Any) -> fl.WeightedMean:
    terms: dict[str, Any] = {"clip": 1.0, "modulus_bits": 8, "clients": 4, "weight_cap": 1000}
    return fl.WeightedMean(SCHEMA, **(terms | change))


@pytest.mark.parametrize(
    "terms", [{}, {"clients": 100, "modulus_bits": 12}, {"weight_cap": 10**6, "modulus_bits": 16}, {"clip": 1e-30}]
)
def test_it_is_refused_and_what_it_needs_is_taken(terms: dict[str, Any]):
    with pytest.raises(GridTooCoarseError) as refused:
        codec(**terms)
    needed = refused.value.needed
    assert f"at least {needed}" in str(refused.value)
    made = codec(**terms | {"modulus_bits": needed})
    with pytest.raises(GridTooCoarseError):
        codec(**terms | {"modulus_bits": needed - 1})
    # Measured: the mean of clients of weight 1, whose entries lie anywhere in the clip.
    clip, clients = made.clip, made.clients
    entries = np.linspace(-clip, clip, SCHEMA.size)
    words = [made.encode({"w": entries}, 1).astype(np.uint64) for _ in range(clients)]
    mean, _ = made.decode(sum(words[1:], words[0]).astype(words_dtype(needed)), clients)
    assert float(np.sqrt(np.mean((np.asarray(dict(mean)["w"]) - entries) ** 2))) < 1.05 * clip


def words_dtype(bits: int) -> str:
    return f"uint{max(8, 1 << (bits - 1).bit_length())}"


def test_weights_that_no_modulus_has_room_for_are_refused():
    with pytest.raises(GridTooCoarseError, match="64 is the most") as refused:
        codec(weight_cap=2**63 - 1, modulus_bits=64, clients=1000)
    assert refused.value.needed > 64


def test_equal_weights_are_never_refused_for_it():
    assert codec(weight_cap=1, modulus_bits=1, clients=1).quantizer.levels == 1
    assert codec(weight_cap=1, modulus_bits=10, clients=1000).quantizer.levels == 1


def low_bit(**change: Any) -> LowBit:
    terms: dict[str, Any] = {"dimension": 50, "bits": 1, "clip_norm": 1.0, "clients": 4, "weight_cap": 100}
    return LowBit(**(terms | change), seed=bytes(32))


@pytest.mark.parametrize("terms", [{}, {"bits": 3, "clients": 100, "weight_cap": 1000}, {"clients": 1}])
def test_a_mean_at_few_bits_is_refused_with_the_bits_of_a_coordinate(terms: dict[str, Any]):
    with pytest.raises(GridTooCoarseError, match="bits of at least") as refused:
        low_bit(**terms)
    assert refused.value.parameter == "bits"
    assert pickle.loads(pickle.dumps(refused.value)).needed == refused.value.needed
    low_bit(**terms | {"bits": refused.value.needed})
    with pytest.raises(GridTooCoarseError):
        low_bit(**terms | {"bits": refused.value.needed - 1})


def test_weights_that_eight_bits_have_no_room_for_are_refused():
    with pytest.raises(GridTooCoarseError, match="8 is the most") as refused:
        low_bit(bits=8, weight_cap=10**6)
    assert refused.value.needed > 8


def test_a_plan_whose_modulus_is_too_small_says_which_is_enough():
    terms: dict[str, Any] = {
        "scope": "s",
        "schema": fl.ArraySchema.of({"w": np.zeros(40)}),
        "clients": 20,
        "max_dropouts": 4,
        "colluders": 2,
        "clip": 1.0,
        "epsilon": 8.0,
        "delta": 1e-5,
        "rounds": 3,
        "weight_cap": 1000,
    }
    with pytest.raises(InfeasiblePlanError) as refused:
        make_plan(**terms, modulus_bits=6)
    assert make_plan(**terms, modulus_bits=refused.value.smallest_modulus_bits).session.modulus_bits > 6
