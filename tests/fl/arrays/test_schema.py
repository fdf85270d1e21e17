"""fl.arrays.schema: what arrays a model is made of."""

import dataclasses
import hashlib
import pickle
import types
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl.arrays.schema import ArraySchema, ArraySpec
from fl.errors import SchemaMismatchError
from secagg.errors import InvalidParameterError, LocalError

F32 = np.dtype(np.float32)


def zeros(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.zeros(shape, dtype=dtype)


def oracle_digest(kind: str, entries: list[tuple[str, str, tuple[int, ...]]]) -> bytes:
    """The documented encoding, written down a second time: every part behind its length as a u64."""

    def prefixed(part: bytes) -> bytes:
        return len(part).to_bytes(8, "little") + part

    encoded = prefixed(b"fl array schema 1") + prefixed(kind.encode()) + prefixed(len(entries).to_bytes(8, "little"))
    for name, dtype, shape in entries:
        encoded += prefixed(name.encode()) + prefixed(dtype.encode())
        encoded += prefixed(b"".join(length.to_bytes(8, "little") for length in shape))
    return hashlib.sha256(encoded).digest()


def test_a_list_is_described_in_its_order():
    schema = ArraySchema.of([zeros(2, 3), zeros(dtype=np.int8), zeros(0, 5, dtype=np.float16)])
    assert schema.kind == "list"
    assert [(entry.name, entry.shape, entry.dtype.name, entry.size) for entry in schema.entries] == [
        (0, (2, 3), "float32", 6),
        (1, (), "int8", 1),
        (2, (0, 5), "float16", 0),
    ]
    assert schema.size == 7


def test_a_tuple_and_a_list_have_one_schema():
    assert ArraySchema.of((zeros(2), zeros(3))) == ArraySchema.of([zeros(2), zeros(3)])


def test_insertion_order_of_a_dict_does_not_matter():
    one = ArraySchema.of({"weight": zeros(2), "bias": zeros(1), "Ä": zeros(4)})
    other = ArraySchema.of({"Ä": zeros(4), "bias": zeros(1), "weight": zeros(2)})
    assert [entry.name for entry in one.entries] == ["bias", "weight", "Ä"]
    assert one == other
    assert one.digest == other.digest
    assert hash(one) == hash(other)


def test_a_read_only_mapping_is_a_dict():
    assert ArraySchema.of(types.MappingProxyType({"a": zeros(2)})) == ArraySchema.of({"a": zeros(2)})


def test_byte_order_is_no_part_of_a_schema():
    big, little = np.zeros(3, ">f4"), np.zeros(3, "<f4")
    assert ArraySchema.of([big]) == ArraySchema.of([little])
    assert ArraySchema.of([big]).digest == ArraySchema.of([little]).digest
    ArraySchema.of([little]).check([big])


def test_types_of_one_width_are_one_dtype():
    one, other = (ArraySchema.of([zeros(1, dtype=dtype)]) for dtype in (np.longlong, np.int64))
    assert (one, hash(one), one.digest) == (other, hash(other), other.digest)


def test_a_numpy_scalar_is_an_array_without_axes():
    assert ArraySchema.of([np.float32(1)]) == ArraySchema.of([zeros()])


names = st.text(st.characters(codec="utf-8"), max_size=6)
dtypes = st.sampled_from(
    ["float16", "float32", "float64"] + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@settings(deadline=None)
@given(st.dictionaries(names, st.tuples(dtypes, shapes), max_size=5))
def test_the_digest_is_the_documented_encoding(layout: dict[str, tuple[str, tuple[int, ...]]]):
    arrays = {name: np.zeros(shape, dtype) for name, (dtype, shape) in layout.items()}
    assert ArraySchema.of(arrays).digest == oracle_digest("dict", sorted((n, d, s) for n, (d, s) in layout.items()))
    expected = [(str(i), dtype, shape) for i, (dtype, shape) in enumerate(layout.values())]
    assert ArraySchema.of(list(arrays.values())).digest == oracle_digest("list", expected)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([zeros(2)], {"0": zeros(2)}),
        ([zeros(2, 3)], [zeros(3, 2)]),
        ([zeros(2, 3)], [zeros(6)]),
        ([zeros(1)], [zeros()]),
        ([zeros(2)], [zeros(2, dtype=np.float64)]),
        ([zeros(2, dtype=np.int32)], [zeros(2, dtype=np.uint32)]),
        ([zeros(2, dtype=np.int16)], [zeros(2, dtype=np.float16)]),
        ([zeros(2), zeros(3)], [zeros(3), zeros(2)]),
        ([zeros(2)], [zeros(2), zeros(0)]),
        ({"ab": zeros(1), "c": zeros(1)}, {"a": zeros(1), "bc": zeros(1)}),
        ({"a": zeros(1), "b": zeros(2)}, {"a": zeros(2), "b": zeros(1)}),
    ],
)
def test_any_difference_changes_the_digest(one: Any, other: Any):
    assert ArraySchema.of(one) != ArraySchema.of(other)
    assert ArraySchema.of(one).digest != ArraySchema.of(other).digest


@pytest.mark.parametrize(
    "dtype", ["?", "c8", "c16", "O", "U3", "S3", "V4", "M8[s]", "m8[s]", np.longdouble, [("a", "f4")]], ids=str
)
def test_a_dtype_that_is_no_plain_real_number_is_refused(dtype: Any):
    with pytest.raises(SchemaMismatchError, match=r"dtype of array 1") as caught:
        ArraySchema.of([zeros(1), np.zeros(2, dtype)])
    assert caught.value.offered == str(np.dtype(dtype))
    assert "float16" in caught.value.expected


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        (zeros(2), "a ndarray"),
        ("ab", "a str"),
        (iter([zeros(2)]), "list_iterator"),
        (None, "NoneType"),
        ([[1.0, 2.0]], "array 0: offered a list"),
        ([1.0], "array 0: offered a float"),
        ([np.ma.masked_array([1.0], [True])], "MaskedArray"),
        ({1: zeros(2)}, "a key of type int"),
        ({"\ud800": zeros(2)}, "no valid Unicode"),
    ],
    ids=[
        "array",
        "text",
        "iterator",
        "nothing",
        "nested list",
        "list of floats",
        "masked array",
        "integer key",
        "broken key",
    ],
)
def test_what_is_no_container_of_arrays_is_refused(arrays: Any, text: str):
    with pytest.raises(SchemaMismatchError, match=text) as caught:
        ArraySchema.of(arrays)
    assert isinstance(caught.value, LocalError)


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        (b"a", (1,), F32),
        (True, (1,), F32),
        ("a", [1], F32),
        ("a", (-1,), F32),
        ("a", (True,), F32),
        ("a", (1.0,), F32),
        ("a", (1,) * 33, F32),
        ("a", (2**32, 2**31), F32),
        ("a", (1,), "float32"),
    ],
)
def test_a_spec_refuses_fields_out_of_range(name: Any, shape: Any, dtype: Any):
    with pytest.raises(InvalidParameterError):
        ArraySpec(name, shape, dtype)


def spec(name: Any, shape: tuple[int, ...] = (1,)) -> ArraySpec:
    return ArraySpec(name, shape, F32)


@pytest.mark.parametrize(
    ("kind", "entries"),
    [
        ("tuple", ()),
        ("list", [spec(0)]),
        ("list", (zeros(1),)),
        ("list", (spec(1),)),
        ("list", (spec("0"),)),
        ("list", (spec(0), spec(0))),
        ("dict", (spec(0),)),
        ("dict", (spec("b"), spec("a"))),
        ("dict", (spec("a"), spec("a"))),
        ("dict", (spec("a", (2**62,)), spec("b", (2**62,)))),
    ],
)
def test_a_schema_refuses_entries_that_do_not_fit_its_kind(kind: Any, entries: Any):
    with pytest.raises(InvalidParameterError):
        ArraySchema(kind, entries)


@pytest.mark.parametrize(
    ("arrays", "what", "offered", "expected"),
    [
        ([zeros(2)], "container", "a list of arrays", "a dict of arrays"),
        ({"a": zeros(2)}, "arrays", r"1 arrays \(missing \['b'\], unknown \[\]\)", "2 arrays"),
        ({"a": zeros(2), "c": zeros(2)}, "arrays", r"2 arrays \(missing \['b'\], unknown \['c'\]\)", "2 arrays"),
        ({"a": zeros(2), "b": zeros(3, 1)}, "shape of array 'b'", r"\(3, 1\)", r"\(3,\)"),
        ({"a": zeros(2, dtype=np.float64), "b": zeros(3)}, "dtype of array 'a'", "float64", "float32"),
    ],
)
def test_arrays_that_do_not_fit_are_named(arrays: Any, what: str, offered: str, expected: str):
    schema = ArraySchema.of({"a": zeros(2), "b": zeros(3)})
    with pytest.raises(SchemaMismatchError, match=f"^{what}: offered {offered}, expected {expected}$") as caught:
        schema.check(arrays)
    assert caught.value.what == what
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.what, copy.offered, copy.expected) == (what, caught.value.offered, caught.value.expected)


def test_a_schema_cannot_be_changed():
    schema = ArraySchema.of([zeros(2)])
    with pytest.raises(dataclasses.FrozenInstanceError):
        schema.kind = "dict"  # type: ignore[misc]
