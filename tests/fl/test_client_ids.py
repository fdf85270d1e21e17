"""fl.client_ids: one id for each name, the same everywhere, and never one for two."""

import hashlib
import uuid
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fl
import fl.client_ids
import secagg
from fl import ClientIdCollisionError, ClientIds, client_id
from secagg import InvalidParameterError

NAMES = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), min_size=1), st.uuids(), st.integers(-(2**63), 2**64 - 1)
)


@given(st.lists(NAMES, unique_by=client_id))
def test_names_and_ids_are_found_from_each_other(names: list[Any]):
    ids = ClientIds(names)
    assert list(ids) == names
    assert len(ids) == len(names)
    for name in names:
        assert 0 <= ids[name] <= 2**64 - 1
        assert type(ids[name]) is int
        assert ids.name_of(ids[name]) == name


@given(st.integers(-(2**63), 2**64 - 1))
def test_integers_are_what_their_64_bits_say(number: int):
    assert client_id(number) == int.from_bytes((number % 2**64).to_bytes(8, "big"), "big")
    if number < 2**63:
        assert client_id(np.int64(number)) == client_id(number)
    if number >= 0:
        assert client_id(np.uint64(number)) == number


def test_the_rule_is_the_documented_one():
    """Fixed for ever: another program computes the same."""
    digest = hashlib.sha256(b"secagg client name" + bytes(1) + b"str" + bytes(1) + "Zürich".encode()).digest()
    assert client_id("Zürich") == int.from_bytes(digest[:8], "big")
    known = uuid.UUID("12345678-1234-5678-1234-567812345678")
    digest = hashlib.sha256(b"secagg client name" + bytes(1) + b"uuid" + bytes(1) + known.bytes).digest()
    assert client_id(known) == int.from_bytes(digest[:8], "big")
    assert client_id(str(known)) != client_id(known)
    assert client_id("7") != client_id(7) == 7


@pytest.mark.parametrize(
    "name", [None, "", True, np.bool_(1), 1.0, np.float64(1), b"ward", 2**64, -(2**63) - 1, "\ud800", (1, 2)]
)
def test_what_is_no_name_is_refused(name: Any):
    with pytest.raises(InvalidParameterError, match="a string, a UUID, or an integer"):
        client_id(name)


@pytest.mark.parametrize(
    ("names", "text"),
    [(["ward", "ward"], "'ward' comes twice"), ([-1, 2**64 - 1], "the same id"), ([np.int8(3), 3], "3 comes twice")],
)
def test_two_names_with_one_id_are_refused(names: list[Any], text: str):
    with pytest.raises(ClientIdCollisionError, match=text) as refused:
        ClientIds([*names, 17])
    assert refused.value.client == client_id(names[0])
    assert isinstance(refused.value, secagg.LocalError)


def test_two_strings_with_one_hash_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fl.client_ids, "_hashed", lambda kind, content: 5)
    with pytest.raises(ClientIdCollisionError, match="'a' and 'b' have the same id, 5"):
        ClientIds(["a", "b"])


def test_a_stranger_has_no_id():
    ids = ClientIds(["a"])
    with pytest.raises(KeyError):
        ids["b"]
    with pytest.raises(KeyError):
        ids.name_of(3)


def test_a_session_of_strings():
    params = secagg.SessionParams.for_cohort(cohort_size=4, vector_length=2, modulus_bits=8)
    ids = fl.ClientIds(["north", "south", "east", "west"])
    vectors = {"north": [1, 2], "south": [3, 4], "east": [5, 6], "west": [7, 8]}
    result = secagg.simulate({ids[name]: np.array(vector) for name, vector in vectors.items()}, params)
    assert result.sum.tolist() == [16, 20]
    assert {ids.name_of(client) for client in result.survivors} == set(vectors)


def test_a_session_of_numpys_integers():
    params = secagg.SessionParams.for_cohort(cohort_size=4, vector_length=1, modulus_bits=8)
    result = secagg.simulate({client: np.array([1]) for client in np.arange(4)}, params)
    assert result.sum.tolist() == [4]
    assert {type(client) for client in result.survivors} == {int}
