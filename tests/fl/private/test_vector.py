"""fl.private.vector: what a client sends is bounded whatever it hands in, and what is decoded is the sum and its noise.

Statistical tests draw the noise from the operating system. Each states how often it fails by chance.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import fl.private.vector
from dp.mechanisms.adaptive_clipping import AdaptiveClipping
from dp.vocabulary import DISTRIBUTED_DISCRETE_GAUSSIAN, SKELLAM
from fl.arrays.flatten import flatten
from fl.codecs.rotation import RotationBuffers
from fl.private.vector import PrivateVector
from tests.kit.private_round_scene import (
    ADAPTIVE,
    CURIOUS,
    LOSS,
    MODEL,
    SCHEMA,
    centred,
    planned,
    sum_of_words,
    update_of,
    without_noise,
)
from tests.kit.private_vectors import CONTEXT, clipped, recorded, released


# ------------------------------------------------------------------------------------------------- Without the noise
@pytest.mark.slow
def test_without_noise_the_sum_is_exactly_that_of_the_rounded_vectors(monkeypatch: pytest.MonkeyPatch):
    without_noise(monkeypatch)
    rounded = recorded(monkeypatch)
    for bits in (8, 20, 33, 64):
        plan = planned(modulus_bits=bits, adversary=CURIOUS)
        rounded.clear()
        words = [PrivateVector(plan, CONTEXT, 1.0).encode(update_of(client)) for client in range(5)]
        assert all(one.shape == (16,) and int(one.max()) < 2**bits for one in words)
        total = sum_of_words(words, bits)
        assert centred(total, bits).tolist() == np.add.reduce(rounded).tolist()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"modulus_bits": 24},
        {"modulus_bits": 64},
        {"adaptive": ADAPTIVE},
        {"side_values": (LOSS,), "weight_cap": 50, "modulus_bits": 24},
    ],
    ids=["coarse", "single precision", "double precision", "adaptive", "side values"],
)
def test_without_noise_the_sum_is_the_true_one_within_its_roundings(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    without_noise(monkeypatch)
    plan = planned(adversary=CURIOUS, **changes)
    clip = 0.9 if plan.adaptive else plan.clip
    updates = [update_of(client, norm=0.5 * client) for client in range(5)]
    sides = {"loss": 4.0} if plan.side_values else {}
    weights = [10, 20, 0, 50, 1] if plan.weight_cap > 1 else [1] * 5
    vector = PrivateVector(plan, CONTEXT, clip)
    words = [vector.encode(update, weight, sides) for update, weight in zip(updates, weights, strict=True)]
    total = released(plan, words, clip)
    true = np.add.reduce(
        [
            clipped(flatten(update, SCHEMA), clip) * (weight / plan.weight_cap)
            for update, weight in zip(updates, weights, strict=True)
        ]
    )
    # Less than a step in each coordinate for each vector, and what single precision loses of a unit vector.
    steps = 5 * math.sqrt(plan.noise.padded_dimension) / plan.scale(clip)
    assert np.linalg.norm(total.update - true) < steps + 5e-6
    assert total.clip == clip
    assert total.survivors == 5
    if plan.adaptive is not None:
        # 0 and .5 are within the clip norm.
        assert total.clip_bits == 2 - 3
    if plan.weight_cap > 1:
        half = steps / (LOSS.share * clip) * 2.5
        assert total.side_values["loss"] == pytest.approx(20.0, abs=half)
        assert total.side_values["weight"] == pytest.approx(81.0, abs=steps / (plan.side_values[1].share * clip) * 25)
        assert total.denominator == total.side_values["weight"] / 50
    else:
        assert total.denominator == 5.0


@pytest.mark.slow
@pytest.mark.parametrize("clip", [2.0**-400, 2.0**-130, 2.0**-61, 2.0**61, 2.0**130, 2.0**400])
def test_clip_norms_far_from_one_lose_nothing(clip: float, monkeypatch: pytest.MonkeyPatch):
    # Single precision has no such numbers.
    without_noise(monkeypatch)
    plan = planned(adaptive=AdaptiveClipping(1.0, 1.0), modulus_bits=20, adversary=CURIOUS)
    update = {name: array * clip for name, array in update_of(1).items()}
    words = [PrivateVector(plan, CONTEXT, clip).encode(update) for _ in range(5)]
    total = released(plan, words, clip)
    assert np.linalg.norm(total.update / clip - 5 * flatten(update_of(1), SCHEMA)) < 1e-2
    assert np.linalg.norm(total.update) > clip


def test_the_rounded_vector_is_within_the_bound_whatever_is_handed_in(monkeypatch: pytest.MonkeyPatch):
    rounded = recorded(monkeypatch)
    plan = planned(side_values=(LOSS,), weight_cap=50)
    vector = PrivateVector(plan, CONTEXT, plan.clip)
    corner = {name: np.full_like(array, 1e300) for name, array in MODEL.items()}
    spike = {name: np.zeros_like(array) for name, array in MODEL.items()}
    spike["b"][0] = -1e308
    for update in (corner, spike, MODEL, {name: array * 5e-324 for name, array in corner.items()}):
        for weight, loss in ((50, 0.0), (50, 5.0), (0, 5.0)):
            vector.encode(update, weight, {"loss": loss})
    assert len(rounded) == 12
    assert max(sum(int(entry) ** 2 for entry in one) for one in rounded) <= plan.noise.squared_norm_bound
    assert all(one.any() for one in rounded)


def test_what_is_rounded_is_no_longer_than_the_joint_norm_by_no_hair(monkeypatch: pytest.MonkeyPatch):
    # The rotation rounds: half of the vectors would be longer.
    norms: list[Fraction] = []
    genuine = fl.private.vector.round_within

    def recording(vector: npt.NDArray[Any], *arguments: Any) -> npt.NDArray[np.int64]:
        norms.append(sum((Fraction(float(entry)) ** 2 for entry in vector), Fraction(0)))
        return genuine(vector, *arguments)

    monkeypatch.setattr(fl.private.vector, "round_within", recording)
    plan = planned(side_values=(LOSS,), weight_cap=50)
    for client in range(40):
        context = bytes([client]) * 32
        PrivateVector(plan, context, plan.clip).encode(update_of(client, norm=2.0), 50, {"loss": 5.0})
    assert len(norms) == 40
    assert max(norms) <= Fraction(plan.joint_clip(plan.clip)) ** 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mechanism", "other"), [(SKELLAM, "discrete_gaussian"), (DISTRIBUTED_DISCRETE_GAUSSIAN, "skellam")]
)
def test_the_noise_is_of_the_plans_mechanism(mechanism: str, other: str, monkeypatch: pytest.MonkeyPatch):
    def wrong(*_: object) -> None:
        raise AssertionError(other)

    monkeypatch.setattr(fl.private.vector, other, wrong)
    plan = planned(mechanism=mechanism, adaptive=ADAPTIVE, modulus_bits=24, epsilon=30.0)
    assert PrivateVector(plan, CONTEXT, 1.0).encode(MODEL).any()


def test_the_rotation_follows_the_sessions_context(monkeypatch: pytest.MonkeyPatch):
    without_noise(monkeypatch)
    plan = planned(modulus_bits=24)
    update = update_of(1)
    words = [PrivateVector(plan, context, 1.0).encode(update) for context in (CONTEXT, CONTEXT, b"\x01" * 32)]
    apart = [centred(one, 24) - centred(words[0], 24) for one in words]
    assert np.abs(apart[1]).max() <= 1
    assert np.linalg.norm(apart[2]) > plan.noise.scaled_clip / 10
    # A server with another context decodes nothing.
    wrong = PrivateVector(plan, b"\x02" * 32, 1.0).decode(words[0], 1)
    assert np.linalg.norm(wrong.update - flatten(update, SCHEMA)) > 0.3


def test_no_two_shares_of_the_noise_are_alike():
    plan = planned(modulus_bits=24)
    words = {PrivateVector(plan, CONTEXT, 1.0).encode(MODEL).tobytes() for _ in range(20)}
    assert len(words) == 20


def test_the_memory_of_an_earlier_round_serves_the_next(monkeypatch: pytest.MonkeyPatch):
    without_noise(monkeypatch)
    plan = planned(modulus_bits=24)
    buffers = RotationBuffers(15, np.float32)
    assert plan.noise.scaled_clip < 2**22
    words = [PrivateVector(plan, CONTEXT, 1.0, memory).encode(update_of(1)) for memory in (None, buffers)]
    assert np.abs(centred(words[0], 24) - centred(words[1], 24)).max() <= 1


def test_what_is_handed_in_is_not_changed():
    plan = planned(side_values=(LOSS,), weight_cap=50)
    update, sides = update_of(1, norm=5.0), {"loss": 1.0}
    PrivateVector(plan, CONTEXT, 1.0).encode(update, 3, sides)
    assert sides == {"loss": 1.0}
    for name, array in update_of(1, norm=5.0).items():
        assert np.array_equal(update[name], array)


# ------------------------------------------------------------------------------------------------- What is released
RICH = {"side_values": (LOSS,), "weight_cap": 50}
