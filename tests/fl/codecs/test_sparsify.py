"""Random-k: exactly uniform by enumeration, the same for everyone, and no selection by value."""

import hashlib
import itertools
import math
import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from fl.codecs import sparsify
from fl.codecs.sparsify import PositionsLeakError, RandomK, sparsifier
from secagg.errors import InvalidInputError, InvalidParameterError, LocalError

SEED = bytes(range(32))


def keys_of(seed: bytes, length: int) -> list[int]:
    key = hashlib.sha256(b"fl random-k mask 1" + seed).digest()
    stream = Cipher(algorithms.AES128(key[:16]), modes.CTR(key[16:])).encryptor().update(bytes(8 * length))
    return [int.from_bytes(stream[8 * i : 8 * i + 8], "little") for i in range(length)]


@given(data=st.data(), length=st.integers(1, 300), seed=st.binary(min_size=32, max_size=32))
@settings(deadline=None, max_examples=60)
def test_the_subset_is_the_documented_function_of_the_seed(data: Any, length: int, seed: bytes):
    kept = data.draw(st.integers(1, length))
    keys = keys_of(seed, length)
    expected = sorted(sorted(range(length), key=keys.__getitem__)[:kept])
    chosen = RandomK(length, kept, seed)
    assert chosen.indices.tolist() == expected
    assert (chosen.length, chosen.kept) == (length, kept)


@pytest.mark.parametrize("kept", [1, 2, 3, 4])
@pytest.mark.parametrize("words", [2, 3, 4])
def test_for_every_outcome_of_the_keys_all_subsets_come_equally_often(kept: int, words: int):
    """Exact, not statistical: all keys there are, of a generator with so few words that most of them tie."""
    counts: Counter[tuple[int, ...]] = Counter()
    for keys in itertools.product(range(words), repeat=4):
        chosen = sparsify._smallest(np.array(keys, np.uint64), kept)
        if chosen is None:
            in_order = sorted(keys)
            assert in_order[kept - 1] == in_order[kept]
        else:
            counts[tuple(chosen.tolist())] += 1
    assert len(counts) == math.comb(4, kept)
    assert len(set(counts.values())) == 1


def test_after_a_tie_the_keys_are_drawn_anew_from_further_on(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def ties_twice(suite: object, key: bytes, length: int, offset: int) -> bytes:
        asked.append((length, offset))
        return bytes(length) if len(asked) < 3 else np.arange(length // 8, dtype="<u8").tobytes()

    monkeypatch.setattr(sparsify, "keystream", ties_twice)
    assert RandomK(9, 2, SEED).indices.tolist() == [0, 1]
    assert asked == [(72, 0), (72, 128), (72, 256)]


def test_every_coordinate_is_as_likely_as_any_other():
    """False-positive rate below 50 * 1e-9: Hoeffding for each coordinate over 4000 seeds; finds a bias of 0.06."""
    draws, counts = 4000, np.zeros(50)
    for draw in range(draws):
        counts[RandomK(50, 5, draw.to_bytes(32, "big")).indices] += 1
    assert counts.sum() == 5 * draws
    assert np.abs(counts / draws - 0.1).max() < math.sqrt(math.log(2 / 1e-9) / (2 * draws))


def test_a_long_vector_gets_as_many_as_asked_for():
    chosen = RandomK(2**20, 12345, SEED).indices
    assert len(chosen) == 12345
    assert (np.diff(chosen) > 0).all()
    assert chosen[0] >= 0
    assert chosen[-1] < 2**20


def test_another_seed_selects_others():
    first = RandomK(1000, 100, SEED).indices.tolist()
    assert first == RandomK(1000, 100, SEED).indices.tolist()
    assert first != RandomK(1000, 100, bytes(32)).indices.tolist()


def test_the_selection_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        RandomK(10, 3, SEED).indices[0] = 1


def test_all_of_a_vector_is_the_vector():
    vector = np.arange(7.0)
    everything = RandomK(7, 7, SEED)
    assert np.array_equal(everything.select(vector), vector)
    assert np.array_equal(everything.spread(vector, unbiased=True), vector)


vectors = st.integers(1, 60).flatmap(
    lambda length: st.tuples(
        st.lists(st.floats(-1e6, 1e6), min_size=length, max_size=length), st.integers(1, length), st.integers(0, 2**32)
    )
)


@given(vectors)
@settings(deadline=None, max_examples=60)
def test_selecting_and_spreading_keeps_the_selected_entries_and_no_other(case: tuple[list[float], int, int]):
    values, kept, seed = case
    vector = np.array(values)
    chosen = RandomK(len(values), kept, seed.to_bytes(32, "big"))
    selected = chosen.select(vector)
    assert selected.tolist() == [values[index] for index in chosen.indices]
    spread = chosen.spread(selected, unbiased=False)
    inside = set(chosen.indices.tolist())
    assert spread.tolist() == [value if index in inside else 0 for index, value in enumerate(values)]
    scaled = chosen.spread(selected, unbiased=True)
    assert np.array_equal(scaled, spread * (len(values) / kept))


@given(vectors)
@settings(deadline=None, max_examples=60)
def test_a_selection_is_never_longer_than_the_vector(case: tuple[list[float], int, int]):
    values, kept, seed = case
    selected = RandomK(len(values), kept, seed.to_bytes(32, "big")).select(np.array(values))
    assert math.fsum(value * value for value in selected) <= math.fsum(value * value for value in values)


def test_the_sum_of_selections_is_the_selection_of_the_sum():
    rng = np.random.default_rng(1)
    clients = rng.integers(-1000, 1000, (5, 200)).astype(np.float64)
    # Each client makes its own selection, from the same public seed.
    total = sum(RandomK(200, 20, SEED).select(vector) for vector in clients)
    assert np.array_equal(total, RandomK(200, 20, SEED).select(clients.sum(axis=0)))


def test_on_average_over_all_subsets_the_scaled_vector_is_the_vector():
    """Exact, over every subset of 3 of 6; that they are equally likely is shown above."""
    vector = np.array([3.0, -1.0, 4.0, 1.0, -5.0, 9.0])
    chosen = RandomK(6, 3, SEED)
    total = np.zeros(6)
    for subset in itertools.combinations(range(6), 3):
        chosen._indices = np.array(subset)
        total += chosen.spread(chosen.select(vector), unbiased=True)
    assert np.array_equal(total / math.comb(6, 3), vector)


@pytest.mark.parametrize(
    "vector",
    [
        np.zeros(9),
        np.zeros((10, 1)),
        np.zeros(10, np.float32),
        [0.0] * 10,
        np.full(10, np.nan),
        np.append(np.zeros(9), np.inf),
        np.append(np.zeros(9), -np.inf),
    ],
    ids=["short", "matrix", "float32", "list", "nan", "inf", "-inf"],
)
def test_an_unusable_vector_is_refused(vector: Any):
    with pytest.raises(InvalidInputError, match="vector"):
        RandomK(10, 4, SEED).select(vector)
    with pytest.raises(InvalidInputError, match="values"):
        RandomK(20, 10, SEED).spread(vector, unbiased=False)


def test_scaling_that_overflows_is_refused():
    chosen = RandomK(20, 10, SEED)
    chosen.spread(np.full(10, 1e308), unbiased=False)
    with pytest.raises(InvalidInputError, match="values"):
        chosen.spread(np.full(10, 1e308), unbiased=True)


@pytest.mark.parametrize(
    "change",
    [
        {"length": 0},
        {"length": 2**32 + 1},
        {"length": 10.0},
        {"length": True},
        {"kept": 0},
        {"kept": 11},
        {"kept": 3.0},
        {"kept": None},
        {"seed": bytes(31)},
        {"seed": bytearray(32)},
        {"seed": None},
    ],
    ids=str,
)
def test_a_parameter_out_of_range_is_refused(change: dict[str, Any]):
    parameters: dict[str, Any] = {"length": 10, "kept": 3, "seed": SEED}
    RandomK(**parameters)
    with pytest.raises(InvalidParameterError, match=next(iter(change))):
        RandomK(**(parameters | change))
    with pytest.raises(InvalidParameterError, match=next(iter(change))):
        sparsifier("random-k", **(parameters | change))


def test_a_method_is_known_by_its_name():
    assert sparsifier("random-k", 10, 3, SEED).indices.tolist() == RandomK(10, 3, SEED).indices.tolist()
    with pytest.raises(InvalidParameterError, match="method"):
        sparsifier("threshold", 10, 3, SEED)


def test_top_k_is_refused_with_the_reason():
    with pytest.raises(
        PositionsLeakError, match=r"top-k is refused: .* positions cannot be masked; use random-k"
    ) as error:
        sparsifier("top-k", 10, 3, SEED)
    assert error.value.method == "top-k"
    assert isinstance(error.value, LocalError)
    copy = pickle.loads(pickle.dumps(error.value))
    assert (str(copy), copy.method) == (str(error.value), "top-k")
