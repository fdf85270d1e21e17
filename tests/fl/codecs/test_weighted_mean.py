"""fl.codecs.weighted_mean: from the clients' arrays to the words of a session and back."""

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl.arrays.schema import ArraySchema
from fl.codecs.weighted_mean import WeightedMean
from fl.errors import ModulusTooSmallError, SchemaMismatchError
from secagg.errors import InvalidInputError, InvalidParameterError
from secagg.graph.choosing import choose
from secagg.params import AdversaryModel


def model(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "weight": rng.normal(0, 0.4, (3, 4)).astype(np.float32),
        "bias": rng.normal(0, 0.4, 3).astype(np.float64),
        "scale": np.asarray(rng.normal(0, 0.4)).astype(np.float16),
        "none": np.zeros((0, 2), np.float32),
    }


SCHEMA = ArraySchema.of(model(np.random.default_rng(0)))


def mean_of(**change: Any) -> WeightedMean:
    parameters: dict[str, Any] = {
        "schema": SCHEMA,
        "clip": 1.0,
        "modulus_bits": 32,
        "clients": 8,
        "weight_cap": 100,
    }
    return WeightedMean(**(parameters | change))


def session_sum(words: list[np.ndarray], modulus_bits: int, seed: int) -> np.ndarray:
    """A session in small: every client adds masks, and the masks cancel modulo 2**modulus_bits."""
    modulus = 2**modulus_bits
    masks = np.random.default_rng(seed).integers(0, modulus, (len(words), len(words[0])), dtype=np.uint64).tolist()
    masked = [
        [
            (word + added - removed) % modulus
            for word, added, removed in zip(vector.tolist(), own, following, strict=True)
        ]
        for vector, own, following in zip(words, masks, [*masks[1:], masks[0]], strict=True)
    ]
    return np.array([sum(column) % modulus for column in zip(*masked, strict=True)], dtype=words[0].dtype)


@given(
    seed=st.integers(0, 2**32 - 1),
    weights=st.lists(st.integers(0, 100), min_size=1, max_size=8).filter(any),
    modulus_bits=st.integers(8, 63),
    clip=st.floats(0.05, 2),
)
@settings(deadline=None)
def test_the_mean_of_the_survivors_comes_back_in_their_container(
    seed: int, weights: list[int], modulus_bits: int, clip: float
):
    rng = np.random.default_rng(seed)
    mean = mean_of(modulus_bits=modulus_bits, clip=clip)
    models = [model(rng) for _ in weights]
    words = [mean.encode(arrays, weight) for arrays, weight in zip(models, weights, strict=True)]
    assert {vector.shape for vector in words} == {(mean.vector_length,)}
    decoded, total_weight = mean.decode(session_sum(words, modulus_bits, seed), len(weights))
    assert total_weight == sum(weights)
    assert isinstance(decoded, dict)
    assert {name: (array.shape, array.dtype) for name, array in decoded.items()} == {
        name: (array.shape, array.dtype) for name, array in models[0].items()
    }
    levels = (2**modulus_bits - 1) // 8
    noise = 2 * Fraction(clip) * 100 * len(weights) / (levels * sum(weights))
    bound = float(noise + (noise + Fraction(clip)) / 2**48)
    for name, array in decoded.items():
        stacked = np.stack([np.clip(arrays[name].astype(np.float64), -clip, clip) for arrays in models])
        truth = np.average(stacked, axis=0, weights=weights)
        # The last conversion rounds to the array's dtype; numpy's own average errs by some 1e-15.
        conversion = float(np.finfo(array.dtype).eps) * (np.abs(truth) + bound) + 1e-7 * (array.dtype == np.float16)
        assert (np.abs(array.astype(np.float64) - truth) <= bound + conversion + 1e-14).all()


def test_a_list_comes_back_as_a_list_and_integers_are_rounded():
    arrays = [np.array([3, 4, 120], np.int8), np.float32(0.5)]
    mean = mean_of(schema=ArraySchema.of(arrays), clip=128.0, modulus_bits=48)
    words = [mean.encode(arrays, 1), mean.encode([np.array([4, 8, 127], np.int8), np.float32(-0.25)], 2)]
    decoded, total_weight = mean.decode(session_sum(words, 48, 0), 2)
    assert total_weight == 3
    assert decoded[0].tolist() == [4, 7, 125]
    assert decoded[1] == pytest.approx(0, abs=1e-6)
    assert decoded[0].dtype == np.int8


def test_lengths_and_dtype_follow_from_the_parameters():
    assert SCHEMA.size == 16
    assert mean_of().vector_length == 17
    # Levels 31: a weight of up to 100 takes two digits.
    assert mean_of(modulus_bits=8).vector_length == 18
    for modulus_bits, dtype in [(8, "uint8"), (9, "uint16"), (17, "uint32"), (33, "uint64")]:
        assert mean_of(modulus_bits=modulus_bits).encode(model(np.random.default_rng(0)), 1).dtype == dtype


def test_the_application_binds_every_setting():
    other_schema = ArraySchema.of({"a": np.zeros(16)})
    variants = [
        mean_of(),
        mean_of(schema=other_schema),
        mean_of(clip=1.5),
        mean_of(modulus_bits=33),
        mean_of(clients=9),
        mean_of(weight_cap=101),
    ]
    assert len({variant.application() for variant in variants}) == len(variants)
    assert mean_of().application() == mean_of(clip=1).application()
    assert mean_of().application() == mean_of(schema=ArraySchema.of(model(np.random.default_rng(5)))).application()


def test_the_application_carries_the_users_bytes():
    plain = mean_of().application()
    assert len(plain) == 18 + 32
    assert mean_of().application(b"round 7") == plain + b"round 7"
    assert len(mean_of().application(bytes(205))) == 255
    for refused in (bytes(206), "round 7", bytearray(1)):
        with pytest.raises(InvalidParameterError, match="user"):
            mean_of().application(refused)  # type: ignore[arg-type]


def replaced(name: str, array: Any) -> dict[str, Any]:
    return model(np.random.default_rng(0)) | {name: array}


@pytest.mark.parametrize(
    ("arrays", "weight", "error", "text"),
    [
        (replaced("weight", np.zeros((4, 3), np.float32)), 1, SchemaMismatchError, "shape of array 'weight'"),
        (replaced("weight", np.zeros((3, 4), np.float64)), 1, SchemaMismatchError, "dtype of array 'weight'"),
        (replaced("surplus", np.zeros(1)), 1, SchemaMismatchError, "surplus"),
        (list(model(np.random.default_rng(0)).values()), 1, SchemaMismatchError, "container"),
        (replaced("bias", np.array([0, np.nan, 0])), 1, InvalidInputError, "array 'bias'"),
        (replaced("scale", np.float16(np.inf)), 1, InvalidInputError, "array 'scale'"),
        (replaced("bias", np.zeros(3)), 101, InvalidInputError, "over the cap"),
        (replaced("bias", np.zeros(3)), -1, InvalidInputError, "negative"),
        (replaced("bias", np.zeros(3)), 1.0, InvalidInputError, "a float"),
        (replaced("bias", np.zeros(3)), True, InvalidInputError, "a bool"),
    ],
)
def test_unusable_input_is_refused_before_anything_is_encoded(
    arrays: Any, weight: Any, error: type[Exception], text: str, monkeypatch: pytest.MonkeyPatch
):
    def encode_nothing(*_: object) -> None:
        pytest.fail("a word was made of refused input")

    monkeypatch.setattr("fl.codecs.quantize.Quantizer._round", encode_nothing)
    with pytest.raises(error, match=text):
        mean_of().encode(arrays, weight)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"schema": [np.zeros(2)]}, InvalidParameterError),
        ({"clip": 0}, InvalidParameterError),
        ({"modulus_bits": 3}, ModulusTooSmallError),
    ],
)
def test_parameters_are_checked_at_construction(change: dict[str, Any], error: type[Exception]):
    with pytest.raises(error):
        mean_of(**change)


@pytest.mark.parametrize("length", [16, 18])
def test_a_sum_of_another_length_is_refused(length: int):
    with pytest.raises(InvalidInputError, match=r"of shape \(17,\)"):
        mean_of().decode(np.ones(length, np.uint32), 2)


@pytest.mark.parametrize("survivors", [0, 9])
def test_a_count_of_survivors_that_cannot_be_is_refused(survivors: int):
    with pytest.raises(InvalidParameterError, match="survivors"):
        mean_of().decode(np.ones(17, np.uint32), survivors)


def test_the_wrong_number_of_survivors_is_found_where_the_sum_is_too_large_for_it():
    mean = mean_of()
    words = [mean.encode({**model(np.random.default_rng(0)), "bias": np.ones(3)}, 100) for _ in range(3)]
    with pytest.raises(InvalidInputError, match="2 clients"):
        mean.decode(session_sum(words, 32, 0), 2)


def test_a_total_weight_of_zero_has_no_mean():
    mean = mean_of()
    words = mean.encode(model(np.random.default_rng(0)), 0)
    with pytest.raises(InvalidInputError, match="weight 0"):
        mean.decode(words, 1)


def test_a_decoded_mean_that_its_dtype_cannot_hold_is_refused():
    mean = mean_of(schema=ArraySchema.of([np.zeros(1, np.uint8)]), clip=300.0)
    total = mean_of(schema=ArraySchema.of([np.zeros(1)]), clip=300.0).encode([np.array([299.0])], 3)
    with pytest.raises(InvalidInputError, match="uint8"):
        mean.decode(total, 1)


def test_clipped_entries_are_counted_over_all_arrays():
    arrays = {**model(np.random.default_rng(0)), "bias": np.array([5.0, -5.0, 0.0]), "scale": np.float16(-1.5)}
    arrays["weight"] = np.full((3, 4), -1.0, np.float32)
    assert mean_of().clipped_count(arrays) == 3


def test_settings_are_fixed_and_comparable():
    assert mean_of() == mean_of()
    assert mean_of() != mean_of(clip=2.0)
    assert "quantizer" not in repr(mean_of())
    with pytest.raises(dataclasses.FrozenInstanceError):
        mean_of().clip = 2.0  # type: ignore[misc]


def test_the_session_of_a_codec_is_the_one_that_its_proof_is_about():
    mean = mean_of()
    params = mean.session_params(round_number=3, user=b"plan")
    assert (params.cohort_size, params.vector_length) == (mean.clients, mean.vector_length)
    assert (params.modulus_bits, params.round_number) == (mean.modulus_bits, 3)
    assert params.application == mean.application(b"plan")


def test_a_sum_of_a_session_with_another_word_is_refused():
    mean = mean_of()
    with pytest.raises(InvalidInputError, match="session_params"):
        mean.decode(np.ones(mean.vector_length, np.uint16), 2)


def test_a_codec_makes_the_session_of_a_certificate():
    mean = mean_of(clients=100)
    certificate = choose(100, corrupt=0.1, dropout=0.1, adversary=AdversaryModel.HONEST_BUT_CURIOUS)
    params = mean.session_params(certificate=certificate, round_number=3, user=b"plan")
    assert (params.neighbours, params.threshold) == (certificate.neighbours, certificate.threshold) == (22, 11)
    assert params.adversary is AdversaryModel.HONEST_BUT_CURIOUS
    assert (params.vector_length, params.modulus_bits) == (mean.vector_length, mean.modulus_bits)
    assert (params.round_number, params.application) == (3, mean.application(b"plan"))
    assert params.min_survivors == certificate.min_survivors


def test_a_certificate_for_others_is_refused():
    certificate = choose(100, corrupt=0.1, dropout=0.1, adversary=AdversaryModel.HONEST_BUT_CURIOUS)
    with pytest.raises(InvalidParameterError) as caught:
        mean_of(clients=99).session_params(certificate=certificate)
    assert caught.value.parameter == "certificate"
    with pytest.raises(InvalidParameterError) as caught:
        mean_of(clients=100).session_params(certificate=certificate, adversary=AdversaryModel.ACTIVE)
    assert caught.value.parameter == "adversary"
