"""fl.private.vector: what a client sends is bounded whatever it hands in, and what is decoded is the sum and its noise.

Statistical tests draw the noise from the operating system. Each states how often it fails by chance.
"""

import math
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

import fl.private.vector
from dp.mechanisms.adaptive_clipping import AdaptiveClipping
from dp.vocabulary import DISTRIBUTED_DISCRETE_GAUSSIAN, SKELLAM, Unit
from fl.arrays.flatten import flatten
from fl.arrays.schema import ArraySchema
from fl.codecs.rotation import RotationBuffers
from fl.errors import SchemaMismatchError
from fl.private.plan import PrivatePlan
from fl.private.vector import PrivateSum, PrivateVector
from secagg.errors import InvalidInputError, LocalError
from tests.kit.private_round_scene import (
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

CONTEXT = bytes(range(32))
ADAPTIVE = AdaptiveClipping(1.0, 1.0, smallest=0.01, largest=100.0)
WIDE = ArraySchema.of([np.zeros((32, 32))])
"""As many entries as coordinates: nothing is padded, and the rotation keeps all of the noise."""

both_mechanisms = pytest.mark.parametrize("mechanism", [SKELLAM, DISTRIBUTED_DISCRETE_GAUSSIAN])


def clipped(vector: npt.NDArray[np.float64], clip: float) -> npt.NDArray[np.float64]:
    """Returns the vector no longer than `clip`, by another route than the package's."""
    return vector * min(1.0, clip / float(np.linalg.norm(vector))) if vector.any() else vector


def released(plan: PrivatePlan, words: list[npt.NDArray[Any]], clip: float | None = None) -> PrivateSum:
    total = sum_of_words(words, plan.noise.modulus_bits)
    return PrivateVector(plan, CONTEXT, plan.clip if clip is None else clip).decode(total, len(words))


# ----------------------------------------------------------------------------------------------------- Statistics
FALSE_POSITIVES = 1e-6


def within_chi_square(statistic: float, degrees: int, tests: int) -> bool:
    """Whether a sum of squares over their variances is as expected; one run in a million of all tests says no."""
    each = FALSE_POSITIVES / tests / 2
    return bool(stats.chi2.ppf(each, degrees) < statistic < stats.chi2.isf(each, degrees))


@pytest.mark.slow
@both_mechanisms
def test_the_noise_has_the_variance_that_the_plan_promises_at_every_survivor_count(mechanism: str):
    """False-positive rate 1e-6 over all counts (Bonferroni). A variance that is 6 % off fails practically always."""
    plan = planned(
        schema=WIDE, mechanism=mechanism, clients=8, max_dropouts=3, adversary=CURIOUS, epsilon=5.0, modulus_bits=32
    )
    # Rounding adds at most a quarter in each vector, which is nothing beside this.
    assert plan.noise.local_variance > 10**5
    counts, repeats = range(plan.min_survivors, plan.clients + 1), 16
    assert list(counts) == [5, 6, 7, 8]
    updates = [[array * 3.0] if client == 2 else [array] for client, array in enumerate(_arrays(8))]
    vector = PrivateVector(plan, CONTEXT, plan.clip)
    for count in counts:
        true = np.add.reduce([clipped(flatten(update, WIDE), plan.clip) for update in updates[:count]])
        squares = 0.0
        for _ in range(repeats):
            total = released(plan, [vector.encode(update) for update in updates[:count]])
            squares += float(np.sum((total.update - true) ** 2))
        assert within_chi_square(squares / plan.noise_stddev(count) ** 2, 1024 * repeats, len(counts)), count


def _arrays(count: int) -> list[npt.NDArray[np.float64]]:
    rng = np.random.default_rng(1)
    return [rng.standard_normal((32, 32)) / 40 for _ in range(count)]


def test_on_a_coarse_lattice_rounding_adds_what_it_may_and_no_more():
    """False-positive rate 1e-6. The promise is at least kept; roundings add from 0 to a quarter a vector."""
    plan = planned(schema=WIDE, clients=8, max_dropouts=3, adversary=CURIOUS, epsilon=30.0)
    assert plan.noise.local_variance < 100
    vector = PrivateVector(plan, CONTEXT, plan.clip)
    updates = [[array] for array in _arrays(5)]
    true = np.add.reduce([clipped(flatten(update, WIDE), plan.clip) for update in updates])
    squares, repeats = 0.0, 16
    for _ in range(repeats):
        squares += float(np.sum((released(plan, [vector.encode(update) for update in updates]).update - true) ** 2))
    promised = plan.noise_stddev(5) ** 2
    most = promised + 5 / 4 / plan.scale(plan.clip) ** 2
    degrees = 1024 * repeats
    assert squares / promised > stats.chi2.ppf(FALSE_POSITIVES / 2, degrees)
    assert squares / most < stats.chi2.isf(FALSE_POSITIVES / 2, degrees)


@pytest.mark.slow
@both_mechanisms
def test_side_values_and_clip_bits_have_the_noise_that_the_plan_promises(mechanism: str):
    """False-positive rate 1e-6 over the three, at two survivor counts."""
    plan = planned(
        mechanism=mechanism, adaptive=ADAPTIVE, side_values=(LOSS,), weight_cap=50, modulus_bits=24, epsilon=30.0
    )
    assert plan.noise.local_variance > 10**4
    vector, repeats = PrivateVector(plan, CONTEXT, 2.0), 300
    assert plan.noise.clip_bit_variance is not None
    for count in (4, 5):
        squares = np.zeros(3)
        bits = []
        for _ in range(repeats):
            words = [
                vector.encode(update_of(client, norm=1.0 + client), 10 * client, {"loss": 1.0})
                for client in range(count)
            ]
            total = released(plan, words, 2.0)
            assert total.clip_bits is not None
            weights = 10.0 * sum(range(count))
            squares[0] += ((total.side_values["loss"] - count) / plan.side_value_stddev("loss", count)) ** 2
            squares[1] += ((total.side_values["weight"] - weights) / plan.side_value_stddev("weight", count)) ** 2
            bits.append(total.clip_bits)
        # Norms 1 and 2 are within the clip norm 2, the others are not.
        true = 2 - (count - 2)
        squares[2] = sum((bit - true) ** 2 for bit in bits) / (count * float(plan.noise.clip_bit_variance))
        for statistic in squares:
            assert within_chi_square(float(statistic), repeats, 6)


# ------------------------------------------------------------------------------------------------- Without the noise
def test_without_noise_the_sum_is_exactly_that_of_the_rounded_vectors(monkeypatch: pytest.MonkeyPatch):
    without_noise(monkeypatch)
    rounded = _recorded(monkeypatch)
    for bits in (8, 20, 33, 64):
        plan = planned(modulus_bits=bits, adversary=CURIOUS)
        rounded.clear()
        words = [PrivateVector(plan, CONTEXT, 1.0).encode(update_of(client)) for client in range(5)]
        assert all(one.shape == (16,) and int(one.max()) < 2**bits for one in words)
        total = sum_of_words(words, bits)
        assert centred(total, bits).tolist() == np.add.reduce(rounded).tolist()


def _recorded(monkeypatch: pytest.MonkeyPatch) -> list[npt.NDArray[np.int64]]:
    """Returns a list that every rounded vector is put into from now on."""
    rounded: list[npt.NDArray[np.int64]] = []
    genuine = fl.private.vector.round_within

    def recording(*arguments: Any) -> npt.NDArray[np.int64]:
        rounded.append(genuine(*arguments))
        return rounded[-1].copy()

    monkeypatch.setattr(fl.private.vector, "round_within", recording)
    return rounded


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
    rounded = _recorded(monkeypatch)
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


# --------------------------------------------------------------------------------------------------------- Examples
EXAMPLES = {"unit": Unit.EXAMPLE, "examples_per_client": 20, "adversary": CURIOUS}


def test_each_example_is_clipped_and_rounded_on_its_own(monkeypatch: pytest.MonkeyPatch):
    without_noise(monkeypatch)
    rounded = _recorded(monkeypatch)
    plan = planned(**EXAMPLES, modulus_bits=24)
    updates = [update_of(number, norm=0.3 * number) for number in range(20)]
    words = PrivateVector(plan, CONTEXT, 1.0).encode_examples(updates)
    assert len(rounded) == 20
    assert max(sum(int(entry) ** 2 for entry in one) for one in rounded) <= plan.noise.squared_norm_bound
    total = released(plan, [words])
    true = np.add.reduce([clipped(flatten(update, SCHEMA), 1.0) for update in updates])
    assert np.linalg.norm(total.update - true) < 20 * 4 / plan.scale(1.0) + 2e-5
    # The same as one array.
    flat = np.array([flatten(update, SCHEMA) for update in updates])
    again = released(plan, [PrivateVector(plan, CONTEXT, 1.0).encode_examples(flat)])
    assert np.linalg.norm(again.update - total.update) < 40 * 4 / plan.scale(1.0)


def test_a_client_without_examples_sends_its_noise():
    plan = planned(**EXAMPLES)
    for none in ([], (), np.zeros((0, 15))):
        assert PrivateVector(plan, CONTEXT, 1.0).encode_examples(none).any()


def test_more_examples_than_the_cap_are_refused():
    plan = planned(**EXAMPLES)
    vector = PrivateVector(plan, CONTEXT, 1.0)
    vector.encode_examples([update_of(1)] * 20)
    for many in ([update_of(1)] * 21, np.zeros((21, 15))):
        with pytest.raises(InvalidInputError) as refused:
            vector.encode_examples(many)
        assert (refused.value.field, refused.value.allowed) == ("updates", "at most 20")


@pytest.mark.parametrize(
    ("examples", "failure"),
    [
        (np.zeros((3, 16)), SchemaMismatchError),
        (np.zeros((3, 15), np.float32), SchemaMismatchError),
        (np.zeros(15), InvalidInputError),
        (np.zeros(()), InvalidInputError),
        (np.zeros((2, 3, 5)), InvalidInputError),
        (np.full((2, 15), math.nan), InvalidInputError),
        (np.full((2, 15), -math.inf), InvalidInputError),
        ([update_of(1), {"w": np.zeros(3)}], SchemaMismatchError),
        ([np.zeros(15), np.zeros(14)], SchemaMismatchError),
        ({"w": np.zeros((4, 3)), "b": np.zeros(3)}, InvalidInputError),
        ("examples", SchemaMismatchError),
        (iter([update_of(1)]), InvalidInputError),
        (None, InvalidInputError),
        (5, InvalidInputError),
    ],
    ids=[
        "long",
        "dtype",
        "flat",
        "scalar",
        "cube",
        "nan",
        "inf",
        "another model",
        "rows",
        "dict",
        "text",
        "iterator",
        "none",
        "int",
    ],
)
def test_examples_of_another_form_are_refused(examples: Any, failure: type[LocalError]):
    with pytest.raises(failure):
        PrivateVector(planned(**EXAMPLES), CONTEXT, 1.0).encode_examples(examples)


def test_examples_and_updates_are_not_taken_for_each_other():
    with pytest.raises(InvalidInputError, match="encode_examples"):
        PrivateVector(planned(**EXAMPLES), CONTEXT, 1.0).encode(update_of(1))
    with pytest.raises(InvalidInputError, match="this plan protects whole clients"):
        PrivateVector(planned(), CONTEXT, 1.0).encode_examples([update_of(1)])


def test_where_examples_are_protected_the_denominator_has_to_be_public():
    plan = planned(**EXAMPLES)
    total = released(plan, [PrivateVector(plan, CONTEXT, 1.0).encode_examples([update_of(1)])])
    with pytest.raises(InvalidInputError) as refused:
        total.mean()
    assert refused.value.field == "denominator"
    assert np.allclose(flatten(total.mean(7.0), SCHEMA), total.update / 7)


# -------------------------------------------------------------------------------------------------------- Bad input
RICH = {"side_values": (LOSS,), "weight_cap": 50}
SECRET = 3.14159

UPDATES: dict[str, tuple[Any, type[LocalError], str]] = {
    "nan": ({"b": np.full(3, math.nan), "w": np.full((4, 3), SECRET)}, InvalidInputError, "array 'b'"),
    "infinity": ({"b": np.full(3, SECRET), "w": np.full((4, 3), -math.inf)}, InvalidInputError, "array 'w'"),
    "another shape": ({"b": np.full(3, SECRET), "w": np.zeros((3, 4))}, SchemaMismatchError, "shape of array 'w'"),
    "another dtype": ({"b": np.zeros(3, np.float32), "w": np.zeros((4, 3))}, SchemaMismatchError, "dtype of array 'b'"),
    "an array missing": ({"b": np.full(3, SECRET)}, SchemaMismatchError, "missing ['w']"),
    "an array more": (MODEL | {"c": np.zeros(1)}, SchemaMismatchError, "unknown ['c']"),
    "a list": ([np.zeros(3), np.zeros((4, 3))], SchemaMismatchError, "container"),
    "nothing": ({}, SchemaMismatchError, "missing"),
    "no arrays": ({"b": [SECRET] * 3, "w": np.zeros((4, 3))}, SchemaMismatchError, "array 'b'"),
    "an array": (np.zeros(15), SchemaMismatchError, "container"),
    "none": (None, SchemaMismatchError, "container"),
}


@pytest.mark.parametrize(("update", "failure", "named"), UPDATES.values(), ids=UPDATES)
def test_an_update_that_does_not_fit_is_refused_and_not_told(update: Any, failure: type[LocalError], named: str):
    with pytest.raises(failure) as refused:
        PrivateVector(planned(**RICH), CONTEXT, 1.0).encode(update, 3, {"loss": 1.0})
    assert named in str(refused.value)
    assert str(SECRET) not in str(pickle.loads(pickle.dumps(refused.value)))


@pytest.mark.parametrize(
    "weight", [51, -1, 2.0, True, np.True_, "3", None, math.nan, 10**30, np.int64(51), np.float64(3), [3]], ids=repr
)
def test_a_weight_out_of_its_range_is_refused_and_not_told(weight: Any):
    with pytest.raises(InvalidInputError) as refused:
        PrivateVector(planned(**RICH), CONTEXT, 1.0).encode(update_of(1), weight, {"loss": 1.0})
    assert (refused.value.field, refused.value.allowed) == ("weight", "an int from 0 to 50")
    assert refused.value.problem == "no int in the plan's range"


def test_weights_of_numpy_are_weights():
    vector = PrivateVector(planned(**RICH), CONTEXT, 1.0)
    for weight in (np.int8(50), np.uint64(0), np.int32(7)):
        vector.encode(update_of(1), weight, {"loss": 1.0})


@pytest.mark.parametrize("weight", [0, 2])
def test_without_weights_all_count_the_same(weight: int):
    # Zero is a weight: whoever has no data sends noise alone.
    vector = PrivateVector(planned(), CONTEXT, 1.0)
    if weight == 0:
        vector.encode(update_of(1), 0)
        return
    with pytest.raises(InvalidInputError, match="from 0 to 1"):
        vector.encode(update_of(1), weight)


@pytest.mark.parametrize(
    ("sides", "field"),
    [
        (None, "side_values"),
        ({}, "side_values"),
        ({"loss": 1.0, "accuracy": 1.0}, "side_values"),
        ({"loss": 1.0, "weight": 3.0}, "side_values"),
        ([("loss", 1.0)], "side_values"),
        (["loss"], "side_values"),
        (5, "side_values"),
        (np.zeros(3), "side_values"),
        ({"loss": SECRET + 5}, "side value loss"),
        ({"loss": -SECRET}, "side value loss"),
        ({"loss": math.nan}, "side value loss"),
        ({"loss": math.inf}, "side value loss"),
        ({"loss": "much"}, "side value loss"),
        ({"loss": True}, "side value loss"),
    ],
    ids=str,
)
def test_side_values_that_were_not_declared_so_are_refused_and_not_told(sides: Any, field: str):
    with pytest.raises(InvalidInputError) as refused:
        PrivateVector(planned(**RICH), CONTEXT, 1.0).encode(update_of(1), 3, sides)
    assert refused.value.field == field
    assert "3.14" not in str(refused.value)
    assert "8.14" not in str(refused.value)


def test_side_values_are_refused_where_none_is_declared():
    with pytest.raises(InvalidInputError, match="'loss' is missing or undeclared"):
        PrivateVector(planned(), CONTEXT, 1.0).encode(update_of(1), 1, {"loss": 1.0})


@pytest.mark.parametrize(
    "total",
    [
        np.zeros(15, np.uint32),
        np.zeros(17, np.uint32),
        np.zeros((4, 4), np.uint32),
        np.zeros(16, np.uint16),
        np.zeros(16, np.int32),
        np.zeros(16),
        [0] * 16,
        None,
        np.full(16, 2**20, np.uint32),
    ],
    ids=["short", "long", "shape", "dtype", "sign", "float", "list", "none", "word"],
)
def test_what_is_no_sum_is_refused(total: Any):
    plan = planned(modulus_bits=20)
    with pytest.raises(InvalidInputError) as refused:
        PrivateVector(plan, CONTEXT, 1.0).decode(total, 4)
    assert refused.value.field == "total"


@pytest.mark.parametrize("survivors", [0, -1, 6, True, 4.0, None, "4"], ids=repr)
def test_what_is_no_number_of_survivors_is_refused(survivors: Any):
    plan = planned(modulus_bits=24)
    with pytest.raises(InvalidInputError) as refused:
        PrivateVector(plan, CONTEXT, 1.0).decode(np.zeros(16, np.uint32), survivors)
    assert (refused.value.field, refused.value.allowed) == ("survivors", "an int from 1 to 5")


# ------------------------------------------------------------------------------------------------- What is released
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
    assert np.array_equal(flatten(total.mean(), SCHEMA), np.arange(15.0) / 2.5)


@pytest.mark.parametrize("weights", [0.0, -3.0, math.nan])
def test_a_mean_over_no_weight_is_refused(weights: float):
    total = a_sum(planned(**RICH), side_values={"loss": 9.0, "weight": weights})
    with pytest.raises(InvalidInputError) as refused:
        total.mean()
    assert refused.value.field == "denominator"


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
