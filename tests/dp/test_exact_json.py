"""Each kind of value has one JSON form, and no other form is read."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp.errors import InvalidParameterError
from dp.exact_json import Bytes, Integer, Member, Optional, Rational, SamplingCodec, Text
from dp.vocabulary import SampleKnownTo, Sampling, Unit

SAMPLE = Sampling(SampleKnownTo.PARTICIPANTS, population=10, sample=3)


@pytest.mark.parametrize(
    ("codec", "value", "form"),
    [
        (Integer(1, 9), 9, 9),
        (Rational(), Fraction(6, 4), "3/2"),
        (Rational(), 2, "2/1"),
        (Bytes(2, 2), b"\xab\xcd", "abcd"),
        (Text(), "ward 7", "ward 7"),
        (Member(Unit), Unit.CLIENT, "client"),
        (Optional(Integer(0, 1)), None, None),
        (
            SamplingCodec(),
            SAMPLE,
            {"known_to": "participants", "population": 10, "sample": 3, "scheme": "without-replacement"},
        ),
    ],
)
def test_a_value_goes_there_and_back(codec: Any, value: Any, form: Any) -> None:
    assert codec.encode("field", value) == form
    assert codec.decode("field", form) == value


@pytest.mark.parametrize(
    ("codec", "form"),
    [
        (Integer(1, 9), True),
        (Integer(1, 9), 1.0),
        (Integer(1, 9), 10),
        (Rational(), "6/4"),
        (Rational(), "1"),
        (Rational(), "01/2"),
        (Rational(), "1/0"),
        (Rational(), 0.5),
        (Rational(positive=True), "0/1"),
        (Bytes(2, 2), "ABCD"),
        (Bytes(2, 2), "abc"),
        (Text(), 'a "quote"'),
        (Text(frozenset({"one"})), "two"),
        (Member(Unit), "household"),
        (
            SamplingCodec(),
            {"known_to": "participants", "population": 10, "sample": 11, "scheme": "without-replacement"},
        ),
        (SamplingCodec(), {"known_to": "participants"}),
    ],
)
def test_any_other_form_is_refused_by_name(codec: Any, form: Any) -> None:
    with pytest.raises(InvalidParameterError, match="field"):
        codec.decode("field", form)


@given(st.fractions(min_value=0, max_value=10**9))
def test_every_rational_has_a_form_of_its_own(number: Fraction) -> None:
    codec = Rational()
    assert codec.decode("field", codec.encode("field", number)) == number
