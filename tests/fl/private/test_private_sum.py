"""fl.private.private_sum: what is released, its mean, and when it has none."""

import math
import pickle
from typing import Any

import numpy as np
import pytest

from fl.arrays.flatten import flatten
from fl.errors import NoMeanError
from fl.private.plan import PrivatePlan
from fl.private.private_sum import PrivateSum
from fl.private.vector import PrivateVector
from secagg import InvalidInputError
from tests.kit.private_round_scene import ADAPTIVE, LOSS, SCHEMA, planned

RICH = {"side_values": (LOSS,), "weight_cap": 50}


def zeros(plan: PrivatePlan) -> dict[str, np.ndarray]:
    return {str(entry.name): np.zeros(entry.shape, entry.dtype) for entry in plan.schema.entries}


def a_sum(plan: PrivatePlan, **fields: Any) -> PrivateSum:
    given: dict[str, Any] = {"survivors": 4, "clip": plan.clip, "side_values": {}, "clip_bits": None}
    return PrivateSum(plan=plan, update=np.arange(15.0), **(given | fields))


def test_the_mean_is_over_the_survivors_and_in_the_models_shapes():
    mean = a_sum(planned()).mean()
    assert isinstance(mean, dict)
    assert {name: array.shape for name, array in mean.items()} == {"b": (3,), "w": (4, 3)}
    assert np.array_equal(flatten(mean, SCHEMA), np.arange(15.0) / 4)
    assert np.array_equal(flatten(a_sum(planned()).mean(2), SCHEMA), np.arange(15.0) / 2)


def test_a_weighted_mean_is_over_the_noisy_weights():
    plan = planned(**RICH)
    total = a_sum(plan, side_values={"loss": 9.0, "weight": 125.0})
    assert total.denominator == 2.5
    assert np.array_equal(flatten(total.mean(within_clip=False), SCHEMA), np.arange(15.0) / 2.5)


@pytest.mark.parametrize("part", [0.999, 0.5, 0.0, -1.0, math.nan])
def test_there_is_no_mean_where_the_denominator_may_be_noise_alone(part: float):
    plan = planned(**RICH)
    floor = 3 * a_sum(plan, side_values={"weight": 1.0}).denominator_stddev
    total = a_sum(plan, side_values={"weight": part * floor * plan.weight_cap})
    with pytest.raises(NoMeanError) as refused:
        total.mean()
    assert refused.value.floor == pytest.approx(floor)
    assert isinstance(refused.value, InvalidInputError)
    assert refused.value.field == "denominator"
    assert pickle.loads(pickle.dumps(refused.value)).floor == refused.value.floor
    # A public denominator has no noise, and needs no floor.
    assert np.array_equal(flatten(total.mean(2), SCHEMA), np.arange(15.0) / 2)


def test_just_above_the_floor_there_is_a_mean_within_the_clip_norm():
    plan = planned(**RICH)
    floor = 3 * a_sum(plan, side_values={"weight": 1.0}).denominator_stddev
    total = a_sum(plan, side_values={"weight": 1.001 * floor * plan.weight_cap})
    mean = flatten(total.mean(), SCHEMA)
    assert np.linalg.norm(mean) == pytest.approx(plan.clip)
    assert np.allclose(mean / np.linalg.norm(mean), np.arange(15.0) / np.linalg.norm(np.arange(15.0)))
    longer = flatten(total.mean(within_clip=False), SCHEMA)
    assert np.allclose(longer, np.arange(15.0) / total.denominator)


def test_a_mean_over_survivors_is_unbiased_unless_asked_to_be_short():
    total = a_sum(planned())
    assert total.denominator_stddev == 0
    assert np.linalg.norm(flatten(total.mean(), SCHEMA)) > total.clip
    assert np.linalg.norm(flatten(total.mean(within_clip=True), SCHEMA)) == pytest.approx(total.clip)


@pytest.mark.parametrize("denominator", [0, -1.0, math.nan, math.inf, 5e-324])
def test_a_public_denominator_that_is_none_is_refused(denominator: float):
    with pytest.raises(InvalidInputError) as refused:
        a_sum(planned()).mean(denominator)
    assert refused.value.field == "denominator"


def test_the_public_deviation_is_that_of_the_noise():
    """Over 400 sums without any weight; each bound is missed with a probability below 1e-7 (chi-squared)."""
    plan = planned(**RICH)
    names = [side.name for side in plan.side_values if side.name != "weight"]
    sides = {side.name: side.low for side in plan.side_values if side.name in names}
    found = []
    for number in range(400):
        vector = PrivateVector(plan, number.to_bytes(32, "big"), plan.clip)
        words = [vector.encode(zeros(plan), 0, sides) for _ in range(4)]
        total = sum(word.astype(np.uint64) for word in words) & np.uint64((1 << plan.noise.modulus_bits) - 1)
        found.append(vector.decode(total.astype(words[0].dtype), 4))
    variance = sum(total.denominator**2 for total in found) / len(found)
    expected = found[0].denominator_stddev ** 2
    # The quarter for rounding is an upper bound.
    assert 0.6 * expected < variance < 1.45 * expected


def test_the_next_clip_norm_follows_the_noisy_bits():
    plan = planned(adaptive=ADAPTIVE)
    for bits in (-400, -4, -1, 0, 3, 4, 400):
        # Andrew et al. 2021: C exp(-eta (b - gamma)), b the fraction of norms within C.
        # One client that sends anything moves it no farther than all of them can.
        expected = 1.5 * math.exp(-0.2 * (min(max(bits / 8 + 0.5, 0.0), 1.0) - 0.5))
        found = a_sum(plan, clip=1.5, clip_bits=bits).next_clip()
        assert found == pytest.approx(min(max(expected, 0.01), 100.0), rel=1e-12)
        plan.check_round(2, found)
    assert a_sum(planned()).next_clip() == 1.0
