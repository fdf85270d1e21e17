"""The table sampler against comparing all 160 bits, on words chosen to lie at thresholds, ties and bucket borders."""

from bisect import bisect_right
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dp.errors import InvalidParameterError
from dp.noise.table import Table, signed, thresholds_of
from dp.noise.weights import gaussian_weights, skellam_weights
from tests.kit.noise_oracle import TINY, ChosenWords, first_word, more_words

ALL = 2**160


def check_against_all_bits(thresholds: list[int], uniforms: list[int]) -> None:
    """Feeds words that begin these numbers of 160 bits, and their rest to those that tie and to no other."""
    leading = {threshold >> 97 for threshold in thresholds}
    words = np.array([first_word(u, i & 1) for i, u in enumerate(uniforms)], np.uint64)
    kept = words.copy()
    source = ChosenWords([word for u in uniforms if u >> 97 in leading for word in more_words(u)])
    values = Table(thresholds).draw(words, source)
    assert source.left == []
    assert values.tolist() == [bisect_right(thresholds, u if u >> 97 in leading else u >> 97 << 97) for u in uniforms]
    assert np.array_equal(words, kept)


def around(thresholds: list[int]) -> list[int]:
    """Numbers at each threshold, and at the borders of those that share its leading bits."""
    found = set()
    for threshold in thresholds:
        first = threshold >> 97 << 97
        found |= {threshold - 1, threshold, threshold + 1, first - 1, first, first + 2**97 - 1, first + 2**97}
    return sorted(u for u in found if 0 <= u < ALL)


@st.composite
def clustered_thresholds(draw: st.DrawFn) -> list[int]:
    """Thresholds anywhere, at the borders of buckets, crowded in one bucket, and equal in their leading bits."""
    anywhere = st.integers(0, ALL - 1)
    border = st.builds(
        lambda number, bits, offset: number % 2**bits * 2 ** (160 - bits) + offset,
        st.integers(0, 2**17),
        st.integers(12, 17),
        st.sampled_from([-(2**97), -1, 0, 1, 2**97 - 1, 2**97]),
    )
    found = draw(st.lists(anywhere | border, max_size=30))
    for _ in range(draw(st.integers(0, 3))):
        start, scale = draw(anywhere | border), draw(st.sampled_from([1, 2**60, 2**97, 2**100, 2**143, 2**148]))
        found += [start + i * scale for i in range(draw(st.integers(1, 5)))]
    return sorted(min(max(0, threshold), ALL - 1) for threshold in found)


@pytest.mark.slow
@given(thresholds=clustered_thresholds(), others=st.lists(st.integers(0, ALL - 1), max_size=20))
@settings(deadline=None, max_examples=400)
def test_every_draw_is_what_all_bits_say(thresholds: list[int], others: list[int]):
    borders = [bucket << 148 for bucket in (0, 1, 4095)] + [ALL - 1]
    check_against_all_bits(thresholds, around(thresholds) + others + borders)


@pytest.mark.parametrize("make", [gaussian_weights, skellam_weights])
@pytest.mark.parametrize("variance", [TINY, Fraction(1), Fraction(10**4), Fraction(10**7)], ids=str)
def test_ties_of_real_tables_are_extended(make, variance: Fraction):
    weights = make(variance)
    thresholds = thresholds_of([weights[0], *(2 * weight for weight in weights[1:])])
    # The last thousand agree in their leading bits, all ones.
    some = thresholds[:50] + thresholds[50 :: max(1, len(thresholds) // 500)] + thresholds[-50:]
    check_against_all_bits(thresholds, around(some))


@pytest.mark.slow
@pytest.mark.parametrize("bits", [11, 12, 13, 14, 15, 16, 17])
def test_each_size_of_the_guide_table(bits: int):
    """Evenly spaced thresholds and some in one bucket, a few below and above the sizes where the guide grows."""
    for size in (2**bits - 2, 2**bits - 1, 2**bits):
        thresholds = sorted([i * (ALL // size) for i in range(size - 4)] + [ALL - 5, ALL - 4, ALL - 2**120, ALL - 2])
        some = thresholds[:20] + thresholds[20 :: size // 200] + thresholds[-20:]
        check_against_all_bits(thresholds, around(some))


def test_a_threshold_at_the_start_of_its_bucket_ties_there():
    threshold = 5 << 148
    table = Table([threshold])
    source = ChosenWords([0, 0])
    assert table.draw(np.array([first_word(threshold)], np.uint64), source).tolist() == [1]
    assert source.left == []
    assert table.draw(np.array([first_word(threshold - 2**97)], np.uint64), ChosenWords([])).tolist() == [0]


def test_words_beyond_the_160th_bit_change_nothing():
    threshold = 12345 << 100 | 7
    for rest, expected in (([0, 7 << 31], 1), ([0, (7 << 31) - 1], 0), ([0, (7 << 31) + 2**31 - 1], 1)):
        table = Table([threshold])
        assert table.draw(np.array([first_word(threshold)], np.uint64), ChosenWords(rest)).tolist() == [expected]


def test_ties_take_their_words_in_order():
    first, second = 3 << 150 | 1, 7 << 150 | 1
    words = np.array([first_word(u) for u in (second, 2**159, first, second)], np.uint64)
    source = ChosenWords([*more_words(second), *more_words(first - 1), *more_words(second - 1)])
    assert Table([first, second]).draw(words, source).tolist() == [2, 2, 0, 1]


def test_without_thresholds_all_is_zero():
    table = Table([])
    words = np.array([0, 1, 2**63, 2**64 - 1], np.uint64)
    assert table.largest == 0
    assert table.draw(words, ChosenWords([])).tolist() == [0, 0, 0, 0]


def test_the_largest_table_and_one_more():
    size = 2**18 - 2
    thresholds = [i * (ALL // size) + 1 for i in range(size)]
    table = Table(thresholds)
    assert table.draw(np.array([2**64 - 1, 0], np.uint64), ChosenWords([0, 0])).tolist() == [size, 0]
    with pytest.raises(InvalidParameterError):
        Table([*thresholds, ALL - 1])


def test_thresholds_are_kept_whole():
    thresholds = [0, 1, 2**97, ALL - 1]
    table = Table(thresholds)
    assert [table.threshold(k) for k in range(table.largest)] == thresholds


def test_what_is_shared_cannot_be_written():
    table = Table([2**100])
    for array in (table._leading, table._guide):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_the_lowest_bit_is_the_sign_and_zero_has_none():
    words = np.array([0, 1, 2, 3, 2**64 - 1, 2**64 - 2], np.uint64)
    magnitudes = np.array([0, 0, 5, 5, 2**44, 2**44], np.uint64)
    values = signed(magnitudes, words=words)
    assert values.dtype == np.int64
    assert values.tolist() == [0, 0, 5, -5, -(2**44), 2**44]
