"""The public samplers: known answers, the slow reference, refusals, and where the randomness comes from."""

import ast
import hashlib
import secrets
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dp.errors import InvalidParameterError
from dp.noise import keystream, large_gaussian, samplers
from dp.noise import table as sampling_table
from dp.noise import weights as sampling_weights
from dp.noise.keystream import Keystream
from dp.noise.samplers import TOTAL_VARIATION_BITS, discrete_gaussian, skellam, total_variation
from tests.kit.noise_oracle import (
    AWKWARD,
    CHUNK,
    TINY,
    gaussian_pmf,
    large_gaussian_samples,
    skellam_pmf,
    symmetric_samples,
)

SEED = bytes(range(32))
SAMPLERS = {
    "gaussian": (discrete_gaussian, samplers._discrete_gaussian, gaussian_pmf),
    "skellam": (skellam, samplers._skellam, skellam_pmf),
}
each_kind = pytest.mark.parametrize("kind", SAMPLERS)


def drawn(kind: str, variance: Fraction | int, size: int, seed: bytes = SEED) -> np.ndarray:
    return SAMPLERS[kind][1](variance, size, Keystream(seed))


@each_kind
@pytest.mark.parametrize("variance", [Fraction(1, 2**80), TINY, Fraction(1), AWKWARD, Fraction(400)], ids=str)
def test_samples_are_the_references(kind: str, variance: Fraction):
    size = CHUNK + 10
    assert drawn(kind, variance, size).tolist() == symmetric_samples(SAMPLERS[kind][2], variance, size, SEED)


@pytest.mark.slow
@pytest.mark.parametrize("variance", [Fraction(10**8) + TINY, Fraction(4**14), Fraction(2**80)], ids=str)
def test_large_samples_are_the_references(variance: Fraction):
    # So many that several are rejected and tens are decided by more words.
    size = 3 * CHUNK + 5
    assert drawn("gaussian", variance, size).tolist() == large_gaussian_samples(variance, size, SEED)


@each_kind
@pytest.mark.parametrize("variance", [1, 10**8], ids=str)
def test_a_longer_vector_begins_as_a_shorter_one(kind: str, variance: int):
    longest = drawn(kind, variance, 2 * CHUNK + 1)
    for size in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK):
        assert np.array_equal(drawn(kind, variance, size), longest[:size])


@each_kind
def test_the_type_is_int64_and_the_array_is_the_callers(kind: str):
    for variance in (Fraction(1, 3), 10**8, 10**8 + 1):
        if kind == "skellam" and variance > 10**8:
            continue
        samples = SAMPLERS[kind][0](variance, 100)
        assert samples.dtype == np.int64
        assert samples.shape == (100,)
        assert samples.flags.owndata
        assert samples.flags.writeable


@each_kind
def test_an_int_is_the_fraction_of_the_same_value(kind: str):
    assert np.array_equal(drawn(kind, 7, 1000), drawn(kind, Fraction(14, 2), 1000))


@each_kind
@pytest.mark.parametrize(
    "variance",
    [
        0,
        -1,
        Fraction(-1, 2),
        1.0,
        True,
        None,
        "1",
        float("nan"),
        Fraction(1, 2**80 + 1),
        Fraction(2**80) + TINY,
        10**40,
    ],
    ids=repr,
)
def test_another_variance_is_refused(kind: str, variance: object):
    with pytest.raises(InvalidParameterError) as error:
        SAMPLERS[kind][0](variance, 1)
    assert error.value.parameter == "variance"


@each_kind
@pytest.mark.parametrize("size", [-1, 1.0, True, None, "1", 2**40 + 1], ids=repr)
def test_another_size_is_refused(kind: str, size: object):
    with pytest.raises(InvalidParameterError) as error:
        SAMPLERS[kind][0](1, size)
    assert error.value.parameter == "size"


def test_wide_skellam_noise_is_refused_with_a_way_out():
    assert skellam(10**8, 3).shape == (3,)
    with pytest.raises(InvalidParameterError, match="coarser lattice.*or the discrete Gaussian"):
        skellam(10**8 + TINY, 3)
    assert discrete_gaussian(10**8 + TINY, 3).shape == (3,)


def test_the_share_of_delta_is_exact():
    assert TOTAL_VARIATION_BITS == 100
    assert total_variation(0) == 0
    assert total_variation(1) == Fraction(1, 2**100)
    assert total_variation(np.int64(10**15)) == Fraction(10**15, 2**100)
    assert total_variation(2**100) == 1
    for samples in (-1, 1.0, True, 2**100 + 1):
        with pytest.raises(InvalidParameterError):
            total_variation(samples)


@each_kind
def test_all_randomness_is_one_seed_of_the_system(kind: str, monkeypatch: pytest.MonkeyPatch):
    seeds = iter([SEED, bytes(32)])
    monkeypatch.setattr(secrets, "token_bytes", lambda size: next(seeds)[:size])
    draw = SAMPLERS[kind][0]
    assert np.array_equal(draw(AWKWARD, 1000), drawn(kind, AWKWARD, 1000))
    assert np.array_equal(draw(AWKWARD, 1000), drawn(kind, AWKWARD, 1000, bytes(32)))


@each_kind
def test_two_calls_differ(kind: str):
    draw = SAMPLERS[kind][0]
    assert not np.array_equal(draw(100, 100), draw(100, 100))


@pytest.mark.parametrize("module", [keystream, large_gaussian, samplers, sampling_table, sampling_weights])
def test_no_other_generator_is_in_reach(module):
    """Neither `random` nor any of numpy's generators is named in the code."""
    tree = ast.parse(Path(module.__file__).read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {part for alias in node.names for part in alias.name.split(".")}
            names |= set((getattr(node, "module", None) or "").split("."))
    assert not names & {"random", "RandomState", "default_rng", "Generator", "urandom", "SystemRandom", "scipy"}


VECTORS = [
    ("gaussian", Fraction(1, 16), "0206841d461e8c03f1c08a95685d3eb0", [0, 0, 0, 0, 0, 0]),
    ("gaussian", Fraction(1), "c17f4130935b6252a53209040b21a2f3", [-1, 1, 0, 0, 1, -1]),
    ("gaussian", AWKWARD, "4c2b9db317831fbdfe68a31a41197bdb", [-2, 3, 0, 0, 3, -2]),
    ("gaussian", Fraction(10**4), "8b563befa35696306fdef3c529e095f8", [-57, 80, 1, 4, 98, -64]),
    ("gaussian", Fraction(10**8), "91b6b6c7c0232bfd58f28863a0c9d3ee", [-5677, 8003, 123, 434, 9777, -6395]),
    (
        "gaussian",
        10**15 * AWKWARD,
        "70341dc61c55a8179792ee51ad67f6cc",
        [-63492393, 89471528, 1374467, 4880964, 109319603, -71502082],
    ),
    (
        "gaussian",
        Fraction(2**80),
        "1e3cd4150efb6f584cc5fa9e92fac9da",
        [-624141390121, 880188340776, 13557070083, 47636249156, 1074830611891, -703144790274],
    ),
    ("skellam", Fraction(1, 16), "d4cc8628df385d208454963f9eca121f", [0, 0, 0, 0, 0, 0]),
    ("skellam", Fraction(1), "4bdbce6f89077a0d5d9ff3f9f67af087", [0, 1, 0, 0, 1, -1]),
    ("skellam", AWKWARD, "088f28e7b5738bfd9028de75b59b0adc", [-2, 3, 0, 0, 3, -2]),
    ("skellam", Fraction(10**4), "79e56e507c935fa0cb39ac8ae20481ee", [-57, 80, 1, 4, 98, -64]),
    ("skellam", Fraction(10**8), "d8c5752ffb72e0fb2b1cb8146c2f0e1a", [-5677, 8003, 123, 434, 9777, -6395]),
]


@pytest.mark.parametrize(("kind", "variance", "digest", "first"), VECTORS, ids=str)
def test_known_answers(kind: str, variance: Fraction, digest: str, first: list[int]):
    """Bytes that must not change without a word: what a seed gives is part of the samplers' version."""
    samples = drawn(kind, variance, 20000)
    assert samples[:6].tolist() == first
    assert hashlib.sha256(samples.astype("<i8").tobytes()).hexdigest()[:32] == digest
