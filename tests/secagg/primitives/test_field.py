"""The field of 2**31 - 1 elements against Python's own integers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from secagg.primitives.field import PRIME, invert, multiply, powers, product, reduce

NEAR = (0, 1, PRIME - 1, PRIME, PRIME + 1, 2 * PRIME, PRIME**2, 2**63, 2**64 - 1)
words = npst.arrays(np.uint64, st.integers(1, 20), elements=st.sampled_from(NEAR) | st.integers(0, 2**64 - 1))
elements = npst.arrays(np.uint64, 12, elements=st.sampled_from((0, 1, PRIME - 1)) | st.integers(0, PRIME - 1))


@given(words)
def test_any_word_is_reduced_in_place(values: np.ndarray):
    expected = [int(value) % PRIME for value in values]
    reduced = reduce(values)
    assert reduced is values
    assert values.tolist() == expected


@given(elements, elements)
def test_products_are_those_of_integers(left: np.ndarray, right: np.ndarray):
    expected = [int(one) * int(other) % PRIME for one, other in zip(left, right, strict=True)]
    assert multiply(left, right).tolist() == expected
    assert multiply(left, right[0]).tolist() == [int(one) * int(right[0]) % PRIME for one in left]


@given(elements, st.integers(1, 40))
def test_row_k_of_the_powers_is_the_power_k(values: np.ndarray, count: int):
    table = powers(values, count)
    assert table.tolist() == [[pow(int(value), k, PRIME) for value in values] for k in range(count)]


@given(elements)
def test_an_inverse_times_its_value_is_one_and_that_of_zero_is_zero(values: np.ndarray):
    found = invert(values)
    assert found.tolist() == [pow(int(value), PRIME - 2, PRIME) for value in values]
    assert multiply(found, values).tolist() == [int(value != 0) for value in values]


@given(npst.arrays(np.uint64, st.tuples(st.integers(1, 9), st.just(3)), elements=st.integers(0, 2**32 - 1)))
def test_a_product_runs_down_the_columns(values: np.ndarray):
    expected = []
    for column in values.T.tolist():
        total = 1
        for value in column:
            total = total * value % PRIME
        expected.append(total)
    assert product(values).tolist() == expected
