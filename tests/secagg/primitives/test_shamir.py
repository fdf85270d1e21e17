"""Shares and rebuilt secrets against Horner and Lagrange in plain integers."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import InvalidInputError, InvalidParameterError
from secagg.primitives import shamir
from secagg.primitives.field import invert, multiply, powers, product, reduce
from secagg.primitives.prg import Suite, keystream
from secagg.primitives.shamir import SHARE_BYTES, decode_shares, encode_shares, limbs_to_secret, reconstruct, split

P = 2**31 - 1
SEED = bytes(range(32))
ONES = b"\xff" * 32
elements = st.integers(0, P - 1)
secrets_ = st.binary(min_size=32, max_size=32)


def coefficient_words(suite: Suite, seed: bytes, count: int) -> list[int]:
    stream = keystream(suite, seed, length=64 * (count // 8 + 1))
    words = (int.from_bytes(stream[i : i + 4], "little") % 2**31 for i in range(0, len(stream), 4))
    return [word for word in words if word != P][:count]


def naive_split(secrets: list[bytes], threshold: int, points: list[int], coefficients: list[int]) -> list:
    """Horner's rule, one value at a time: [secret][point][limb]."""
    drawn = iter(coefficients)
    shares = []
    for secret in secrets:
        number = int.from_bytes(secret, "little")
        rows = [[number // 2 ** (30 * limb) % 2**30 for limb in range(9)]]
        rows += [[next(drawn) for _ in range(9)] for _ in range(threshold - 1)]
        values = []
        for x in points:
            value = [0] * 9
            for row in reversed(rows):
                value = [(v * x + c) % P for v, c in zip(value, row, strict=True)]
            values.append(value)
        shares.append(values)
    return shares


def naive_rebuild(points: list[int], values: list[list[int]]) -> list[int]:
    """Lagrange's interpolation at 0."""
    total = [0] * 9
    for i, x in enumerate(points):
        weight = 1
        for j, other in enumerate(points):
            if i != j:
                weight = weight * other * pow(other - x, -1, P) % P
        total = [(t + weight * v) % P for t, v in zip(total, values[i], strict=True)]
    return total


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1))
def test_every_64_bit_value_reduces(values: list[int]):
    assert reduce(np.array(values, np.uint64)).tolist() == [value % P for value in values]


def test_values_around_multiples_of_the_prime_reduce():
    values = [k * P + e for k in (0, 1, 2, 3, 2**31, 2**32, 2**33 - 1, 2**33 + 3) for e in (-2, -1, 0, 1, 2)]
    values = [value for value in values if 0 <= value < 2**64] + [2**64 - 1, 2**62, 2**31, 2**31 - 2]
    assert reduce(np.array(values, np.uint64)).tolist() == [value % P for value in values]


@given(st.lists(elements, min_size=1, max_size=20), st.integers(1, 70))
def test_powers_products_and_inverses(values: list[int], count: int):
    array = np.array(values, np.uint64)
    assert powers(array, count).tolist() == [[pow(v, k, P) for v in values] for k in range(count)]
    assert multiply(array, array[:1]).tolist() == [v * values[0] % P for v in values]
    assert invert(array).tolist() == [pow(v, -1, P) if v else 0 for v in values]
    expected = 1
    for value in values:
        expected = expected * value % P
    assert product(array[:, np.newaxis].copy()).tolist() == [expected]


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(list(Suite)),
    st.lists(secrets_, max_size=6),
    st.lists(st.integers(1, P - 1), min_size=1, max_size=12, unique=True),
    st.binary(min_size=32, max_size=32),
    st.data(),
)
def test_shares_are_values_of_the_polynomials(
    suite: Suite, secrets: list[bytes], points: list[int], seed: bytes, data: st.DataObject
):
    threshold = data.draw(st.integers(1, len(points)))
    shares = split(secrets, threshold, np.array(points), seed, suite=suite)
    assert shares.dtype == np.uint32
    assert shares.shape == (len(secrets), len(points), 9)
    words = coefficient_words(suite, seed, len(secrets) * (threshold - 1) * 9)
    assert shares.tolist() == naive_split(secrets, threshold, points, words)


@pytest.mark.parametrize("threshold", [63, 64, 65, 128, 129, 150])
def test_thresholds_around_the_baby_steps_and_the_largest_points(threshold: int):
    points = [P - 1, P - 2, 1, 2, 2**30, 2**16, 2**16 - 1, *range(1000, 1143)]
    shares = split([ONES, SEED], threshold, np.array(points, np.uint32), SEED, suite=Suite.AES_128_CTR)
    words = coefficient_words(Suite.AES_128_CTR, SEED, 2 * (threshold - 1) * 9)
    checked = [0, 1, 2, 4, 149]
    expected = naive_split([ONES, SEED], threshold, [points[i] for i in checked], words)
    assert shares[:, checked].tolist() == expected


def test_the_largest_coefficients_and_powers_stay_exact(monkeypatch: pytest.MonkeyPatch):
    largest = (P - 1).to_bytes(4, "little")
    monkeypatch.setattr(shamir, "keystream", lambda _suite, _seed, length, offset=0: largest * (length // 4))
    points = [P - 1, P - 2, *range(2**30, 2**30 + 190), *range(P - 70, P - 10)]
    shares = split([ONES], 200, np.array(points), SEED, suite=Suite.AES_128_CTR)
    assert shares[0, ::50].tolist() == naive_split([ONES], 200, points[::50], [P - 1] * 199 * 9)[0]


def test_more_points_than_one_block():
    points = list(range(5, 2105))
    shares = split([SEED], 3, np.array(points), SEED, suite=Suite.CHACHA20)
    words = coefficient_words(Suite.CHACHA20, SEED, 18)
    assert shares.tolist() == naive_split([SEED], 3, points, words)


def test_a_coefficient_word_equal_to_the_prime_is_skipped(monkeypatch: pytest.MonkeyPatch):
    def stream(_suite: Suite, _seed: bytes, length: int, offset: int = 0) -> bytes:
        # Every third word is the prime, with and without the top bit; the others count up.
        words = ((P | (i % 2) << 31 if i % 3 == 0 else i | 1 << 31) for i in range(offset // 4, (offset + length) // 4))
        return b"".join(word.to_bytes(4, "little") for word in words)

    monkeypatch.setattr(shamir, "keystream", stream)
    points = [1, 2, 3, 4]
    shares = split([SEED, ONES], 4, np.array(points), SEED, suite=Suite.AES_128_CTR)
    words = [i for i in range(100) if i % 3][: 2 * 3 * 9]
    assert shares.tolist() == naive_split([SEED, ONES], 4, points, words)


def test_threshold_one_gives_everybody_the_secret():
    shares = split([ONES], 1, np.array([7, 9]), SEED, suite=Suite.AES_128_CTR)
    assert shares.tolist() == [[[2**30 - 1] * 8 + [2**16 - 1]] * 2]


@pytest.mark.parametrize("threshold", [-1, 0, 4])
def test_a_threshold_out_of_range_is_refused(threshold: int):
    with pytest.raises(InvalidParameterError, match="threshold"):
        split([SEED], threshold, np.array([1, 2, 3]), SEED, suite=Suite.AES_128_CTR)


@pytest.mark.parametrize(
    "points",
    [
        np.array([0, 1]),
        np.array([-1, 1]),
        np.array([1, P]),
        np.array([1, 2**63], np.uint64),
        np.array([5, 6, 5]),
        np.array([[1, 2]]),
        np.array([1.0, 2.0]),
    ],
)
def test_points_that_are_none_are_refused(points: npt.NDArray[np.integer]):
    with pytest.raises(InvalidInputError, match="points"):
        split([SEED], 1, points, SEED, suite=Suite.AES_128_CTR)
    with pytest.raises(InvalidInputError, match="points"):
        reconstruct(
            np.zeros((0, 2, 9), np.uint32),
            points=points,
            available=np.ones((0, 2), bool),
            dealer_points=np.arange(0),
            threshold=1,
        )


@pytest.mark.parametrize("threshold", [1, 2])
def test_a_secret_or_seed_of_another_length_is_refused_and_not_shown(threshold: int):
    with pytest.raises(InvalidInputError, match="32 bytes") as caught:
        split([SEED, b"hidden" * 6], threshold, np.array([1, 2]), SEED, suite=Suite.AES_128_CTR)
    assert "hidden" not in str(caught.value)
    with pytest.raises(InvalidParameterError, match="stream_key") as refused:
        split([SEED], threshold, np.array([1, 2]), b"hidden", suite=Suite.AES_128_CTR)
    assert "hidden" not in str(refused.value)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_sets_of_at_least_threshold_shares_rebuild_the_secrets(data: st.DataObject):
    size = data.draw(st.integers(2, 9))
    threshold = data.draw(st.integers(1, size - 1))
    points = np.array(data.draw(st.lists(st.integers(1, P - 1), min_size=size, max_size=size, unique=True)))
    secrets = data.draw(st.lists(secrets_, min_size=size, max_size=size))
    shares = split(secrets, threshold, points, SEED, suite=Suite.CHACHA20)
    available = np.zeros((size, size), bool)
    for dealer in range(size):
        others = [holder for holder in range(size) if holder != dealer]
        available[dealer, data.draw(st.permutations(others))[: data.draw(st.integers(threshold, size - 1))]] = True
    # What is not available, the dealer's own share above all, must not matter.
    shares[~available] = data.draw(st.integers(0, 2**32 - 1))
    limbs = reconstruct(shares, points=points, available=available, dealer_points=points, threshold=threshold)
    assert limbs.dtype == np.uint32
    assert [limbs_to_secret(row) for row in limbs] == secrets


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 8), st.lists(st.lists(elements, min_size=9, max_size=9), min_size=9, max_size=9), st.data())
def test_exactly_threshold_shares_give_what_lagrange_gives(
    threshold: int, values: list[list[int]], data: st.DataObject
):
    points = data.draw(st.lists(st.integers(1, P - 1), min_size=threshold + 1, max_size=threshold + 1, unique=True))
    # One dealer is a responder, with t others left, the second is none, with exactly t responders.
    rows = values[: threshold + 1]
    shares = np.array([rows, rows], np.uint32)
    available = np.ones((2, threshold + 1), bool)
    available[:, threshold] = False
    outside = data.draw(st.integers(1, P - 1).filter(lambda x: x not in points))
    limbs = reconstruct(
        shares,
        points=np.array(points),
        available=available,
        dealer_points=np.array([points[threshold], outside]),
        threshold=threshold,
    )
    expected = naive_rebuild(points[:threshold], rows[:threshold])
    assert limbs.tolist() == [expected, expected]


def test_the_dealers_own_share_is_ignored_even_if_it_is_marked_available():
    points = np.array([3, 1, 4])
    shares = split([SEED], 2, points, SEED, suite=Suite.AES_128_CTR)
    shares[0, 2] = 5
    assert (
        limbs_to_secret(
            reconstruct(shares, points=points, available=np.ones((1, 3), bool), dealer_points=points[2:], threshold=2)[
                0
            ]
        )
        == SEED
    )
    with pytest.raises(InvalidInputError, match="too few"):
        reconstruct(
            shares, points=points, available=np.array([[True, False, True]]), dealer_points=points[2:], threshold=2
        )


def test_a_set_of_exactly_threshold_does_not_serve_one_of_its_members():
    points = np.arange(1, 5)
    shares = split([SEED, ONES], 3, points, SEED, suite=Suite.AES_128_CTR)
    available = np.array([[True, True, True, False], [False, True, True, True]])
    shares[~available] = 77
    limbs = reconstruct(shares, points=points, available=available, dealer_points=np.array([9, 1]), threshold=3)
    assert [limbs_to_secret(row) for row in limbs] == [SEED, ONES]


def test_one_row_of_weights_serves_all_dealers_and_one_more_each_odd_set(monkeypatch: pytest.MonkeyPatch):
    rows = []
    weights = shamir._lagrange_weights
    monkeypatch.setattr(shamir, "_lagrange_weights", lambda x: rows.append(x.tolist()) or weights(x))
    points = np.arange(1, 21)
    shares = split([SEED] * 20, 12, points, SEED, suite=Suite.AES_128_CTR)
    available = ~np.eye(20, dtype=bool)
    assert {
        limbs_to_secret(row)
        for row in reconstruct(shares, points=points, available=available, dealer_points=points, threshold=12)
    } == {SEED}
    assert len(rows) == 1
    # Responders whom some dealers starved are avoided for everybody, while enough others are left.
    available[3, 5:8] = available[4, 5] = False
    assert {
        limbs_to_secret(row)
        for row in reconstruct(shares, points=points, available=available, dealer_points=points, threshold=12)
    } == {SEED}
    assert len(rows) == 2
    available[7, 0:6] = False
    assert {
        limbs_to_secret(row)
        for row in reconstruct(shares, points=points, available=available, dealer_points=points, threshold=12)
    } == {SEED}
    assert len(rows) == 4


def test_dealers_that_do_not_respond_are_rebuilt_with_the_others():
    points = np.arange(1, 8)
    secrets = [bytes([i]) * 32 for i in range(7)]
    shares = split(secrets, 4, points, SEED, suite=Suite.AES_128_CTR)
    # Dealers 6 and 7 are gone: five responders answer for all seven.
    available = np.ones((7, 5), bool)
    available[np.arange(5), np.arange(5)] = False
    limbs = reconstruct(
        np.ascontiguousarray(shares[:, :5]), points=points[:5], available=available, dealer_points=points, threshold=4
    )
    assert [limbs_to_secret(row) for row in limbs] == secrets


def test_many_responders_and_the_largest_values_stay_exact():
    # More dealers and responders than one block each; consistent shares f(x) = P - 1 everywhere.
    count = 2100
    points = np.arange(P - count, P)
    shares = np.full((40, count, 9), P - 1, np.uint32)
    dealer_points = np.concatenate([points[-30:], np.arange(1, 11)])
    available = points[np.newaxis] != dealer_points[:, np.newaxis]
    available[5, :10] = False
    assert (
        reconstruct(shares, points=points, available=available, dealer_points=dealer_points, threshold=2050) == P - 1
    ).all()


def test_values_from_the_prime_on_count_modulo_the_prime():
    # So many that a single float64 sum of them would be rounded.
    points = np.arange(1, 6001)
    shares = np.full((1, 6000, 9), 2**32 - 1, np.uint32)
    limbs = reconstruct(
        shares, points=points, available=np.ones((1, 6000), bool), dealer_points=np.array([9999]), threshold=5999
    )
    assert limbs.tolist() == [[(2**32 - 1) % P] * 9]


def test_a_row_with_too_few_shares_is_refused():
    points = np.arange(1, 6)
    shares = split([SEED] * 2, 3, points, SEED, suite=Suite.AES_128_CTR)
    available = np.ones((2, 5), bool)
    available[1, :2] = False
    dealer_points = np.array([10, 11])
    assert reconstruct(shares, points=points, available=available, dealer_points=dealer_points, threshold=3).shape == (
        2,
        9,
    )
    available[1, 2] = False
    with pytest.raises(InvalidInputError, match="too few"):
        reconstruct(shares, points=points, available=available, dealer_points=dealer_points, threshold=3)


def test_nothing_to_rebuild_gives_nothing():
    limbs = reconstruct(
        np.zeros((0, 3, 9), np.uint32),
        points=np.arange(1, 4),
        available=np.ones((0, 3), bool),
        dealer_points=np.arange(0),
        threshold=2,
    )
    assert limbs.shape == (0, 9)


def test_arrays_that_do_not_fit_are_refused():
    points, dealers = np.arange(1, 4), np.array([9])
    shares, available = np.zeros((1, 3, 9), np.uint32), np.ones((1, 3), bool)
    for bad in (
        (shares[:, :2], points, available, dealers),
        (shares.astype(np.uint64), points, available, dealers),
        (shares[..., :8], points, available, dealers),
        (shares, points, available[:, :2], dealers),
        (shares, points, available.astype(np.uint8), dealers),
        (shares, points, available, np.array([0])),
    ):
        with pytest.raises(InvalidInputError):
            reconstruct(bad[0], points=bad[1], available=bad[2], dealer_points=bad[3], threshold=2)
    with pytest.raises(InvalidParameterError, match="threshold"):
        reconstruct(shares, points=points, available=available, dealer_points=dealers, threshold=0)


@given(secrets_)
def test_limbs_make_the_secret_again(secret: bytes):
    limbs = split([secret], 1, np.array([1]), SEED, suite=Suite.AES_128_CTR)[0, 0]
    assert limbs_to_secret(limbs) == secret


@pytest.mark.parametrize("limb", range(9))
def test_limbs_that_are_no_256_bit_integer_are_no_secret(limb: int):
    limbs = np.array([2**30 - 1] * 8 + [2**16 - 1], np.uint32)
    assert limbs_to_secret(limbs) == ONES
    limbs[limb] += 1
    assert limbs_to_secret(limbs) is None


@given(st.lists(st.tuples(st.integers(1, P - 1), st.lists(st.integers(0, 2**32 - 1), min_size=9, max_size=9))))
def test_share_tables_are_ten_words_each(rows: list[tuple[int, list[int]]]):
    points = np.array([x for x, _ in rows], np.int64)
    limbs = np.array([values for _, values in rows], np.uint32).reshape(-1, 9)
    table = encode_shares(points, limbs)
    assert table == b"".join(word.to_bytes(4, "little") for x, values in rows for word in (x, *values))
    decoded_points, decoded_limbs, canonical = decode_shares(memoryview(table))
    assert decoded_points.tolist() == points.tolist()
    assert decoded_limbs.tolist() == limbs.tolist()
    assert canonical.tolist() == [max(values) < P for _, values in rows]


@pytest.mark.parametrize("place", range(10))
def test_a_share_that_is_not_canonical_is_marked(place: int):
    good = [P - 1] * 10
    bad = list(good)
    bad[place] = P
    table = b"".join(word.to_bytes(4, "little") for word in good + bad + [0] + good[1:] + good)
    assert decode_shares(table)[2].tolist() == [True, False, False, True]


@pytest.mark.parametrize("size", [1, SHARE_BYTES - 1, SHARE_BYTES + 4])
def test_a_table_with_a_part_of_a_share_is_refused(size: int):
    with pytest.raises(InvalidInputError, match="shares"):
        decode_shares(bytes(size))


def test_shares_that_do_not_fit_are_not_encoded():
    with pytest.raises(InvalidInputError, match="limbs"):
        encode_shares(np.array([1, 2]), np.zeros((1, 9), np.uint32))
    with pytest.raises(InvalidInputError, match="points"):
        encode_shares(np.array([0]), np.zeros((1, 9), np.uint32))
