"""Records and their one canonical line."""

import hashlib
import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import dp
from dp.errors import InvalidParameterError
from dp.exact_json import Bytes, Integer, Member, Rational, Text
from dp.ledger.errors import BadRecordError, Fault
from dp.ledger.records import (
    MAX_LINE_BYTES,
    NO_HEAD,
    Central,
    Close,
    Cohort,
    Head,
    MemberForm,
    Record,
    Settle,
    Sum,
    decode,
    encode,
    line_hash,
    schema_needed,
)
from dp.vocabulary import Relation, SampleKnownTo, Sampling, Unit
from tests.kit.ledger_scene import HEADER, KEY, a_round, canonical, changed

FIXED = Sampling(SampleKnownTo.PARTICIPANTS, population=1000, sample=100)
POISSON = Sampling(SampleKnownTo.NOBODY, probability=Fraction(1, 100))
PREVIOUS = hashlib.sha256(b"before").digest()

RECORDS: list[Record] = [
    HEADER,
    replace(HEADER, key=KEY.public_key, scope="!#[]~ "),
    a_round(1),
    a_round(7, sampling=FIXED, clip_bit_variance=Fraction(1, 3), clip_norm=None, epsilon=Fraction(1, 10**9)),
    a_round(2**63, mechanism="distributed-discrete-gaussian", dimension=2**40, squared_norm_bound=2**96, l1_bound=1),
    Settle(round=1, survivors=70),
    Central(mechanism="gaussian", noise_multiplier=Fraction(1.1), sampling=POISSON, count=10**6),
    Central(mechanism="discrete-gaussian", variance=Fraction(10**6), squared_sensitivity=1, dimension=1),
    a_round(2, label="weights", run=b"run", evidence=PREVIOUS),
    Settle(round=1, survivors=3, members=b"\x07"),
    Central(mechanism="none", sampler="none", sampling=POISSON, following=3, label="a step without noise"),
    Central(
        mechanism="composed",
        sampler="none",
        sampling=POISSON,
        parts=(
            Central(mechanism="gaussian", noise_multiplier=Fraction(1.1), count=2),
            Central(
                mechanism="discrete-gaussian",
                variance=Fraction(4),
                squared_sensitivity=1,
                dimension=1,
                sampler="exact/1",
            ),
        ),
    ),
    Settle(round=1, survivors=3, members=b"\x07", cohort=PREVIOUS),
    Cohort(cohort=PREVIOUS, form=MemberForm.IDS, members=bytes(16)),
    Cohort(cohort=PREVIOUS, form=MemberForm.SALTED_HASHES, first=2, members=bytes(64), following=1),
    Sum(session=b"id", invited=4, survivors=3, members=b"\x07", context=PREVIOUS, roster=PREVIOUS, label="counts"),
    Head(signature=bytes(64)),
    Close(),
    Close(signature=bytes(range(64))),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_is_one_canonical_line_and_reads_back(record: Record):
    line = encode(record, PREVIOUS)
    assert decode(line, 1) == (record, PREVIOUS)
    # By another route: what JSON reads, written with sorted keys and nothing else.
    assert canonical(json.loads(line)) == line
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert b" " not in line.replace(b"ward 7, 2026", b"").replace(b"[]~ ", b"").replace(b"a step without noise", b"")
    assert not re.search(rb"\d\.\d", line), "a float"


def test_the_head_is_the_hash_of_the_whole_last_line():
    line = encode(HEADER, NO_HEAD)
    assert line_hash(line) == hashlib.sha256(line).digest()
    assert encode(a_round(1), line_hash(line)).count(line_hash(line).hex().encode()) == 1


def test_the_line_of_a_settle_is_these_bytes():
    assert encode(Settle(round=3, survivors=80), bytes(32)) == (
        b'{"kind":"settle","previous":"' + b"00" * 32 + b'","round":3,"survivors":80}\n'
    )


def not_canonical() -> dict[str, bytes]:
    line = encode(a_round(3), PREVIOUS)
    raw = json.loads(line)
    backwards = dict(sorted(raw.items(), reverse=True))
    return {
        "spaces": json.dumps(raw, sort_keys=True).encode() + b"\n",
        "order of keys": json.dumps(backwards, separators=(",", ":")).encode() + b"\n",
        "key twice, alike": line.replace(b'"round":3', b'"round":3,"round":3'),
        "key twice, unlike": line.replace(b'"round":3', b'"round":4,"round":3'),
        "float": line.replace(b'"round":3', b'"round":3.0'),
        "exponent": line.replace(b'"round":3', b'"round":3e0'),
        "NaN": line.replace(b'"round":3', b'"round":NaN'),
        "minus zero": line.replace(b'"round":3', b'"round":-0'),
        "unicode escape": line.replace(b'"skellam"', b'"sk\\u0065llam"'),
        "escaped slash": line.replace(b"/", b"\\/"),
        "unicode": line.replace(b'"skellam"', '"skéllam"'.encode()),
        "space at the end": line[:-1] + b" \n",
        "space in front": b" " + line,
        "carriage return": line[:-1] + b"\r\n",
        "no line feed": line[:-1],
        "two line feeds": line + b"\n",
        "null byte": line[:-1] + b"\x00\n",
        "byte order mark": b"\xef\xbb\xbf" + line,
        "another encoding": line.decode().encode("utf-16-le"),
        "an array": b"[" + line[:-1] + b"]\n",
        "a number": b"3\n",
        "nothing": b"\n",
        "half": line[: len(line) // 2] + b"\n",
        "brackets without end": b"[" * 10_000 + b"\n",
        "digits without end": line.replace(b'"round":3', b'"round":' + b"1" * 5000),
        "too long": line.replace(b"skellam", b"s" * MAX_LINE_BYTES),
    }


@pytest.mark.parametrize("name", not_canonical())
def test_any_other_form_is_refused(name: str):
    with pytest.raises(BadRecordError) as refused:
        decode(not_canonical()[name], 5)
    assert refused.value.record == 5
    assert refused.value.fault is Fault.CANONICAL_FORM


@pytest.mark.parametrize(
    "change",
    [
        {"invited": "100"},
        {"invited": True},
        {"invited": 0},
        {"invited": -1},
        {"invited": 2**32 + 1},
        {"invited": None},
        {"mechanism": "laplace"},
        {"mechanism_version": 2},
        {"sampler": "numpy"},
        {"sampler": "continuous"},
        {"local_variance": "10"},
        {"local_variance": "2/4"},
        {"local_variance": "0/1"},
        {"local_variance": "1/0"},
        {"local_variance": "-1/2"},
        {"local_variance": "01/2"},
        {"local_variance": "1/2 "},
        {"local_variance": "٣/4"},
        {"local_variance": 3},
        {"local_variance": "1/" + "1" * 500},
        {"epsilon": "-1/2"},
        {"context": "ab"},
        {"context": "AB" * 32},
        {"context": "zz" * 32},
        {"session": ""},
        {"session": "abc"},
        {"previous": None},
        {"sampling": {}},
        {"sampling": {"known_to": "nobody", "scheme": "poisson", "probability": "2/1"}},
        {"sampling": {"known_to": "nobody", "scheme": "poisson", "probability": "1/2", "sample": 1}},
        {"sampling": {"known_to": "friends", "scheme": "poisson", "probability": "1/2"}},
        {"sampling": {"known_to": "nobody", "scheme": "without-replacement", "population": 10, "sample": 11}},
        {"sampling": {"known_to": "nobody", "scheme": "without-replacement", "probability": "1/2"}},
        {"sampling": "poisson"},
        {"extra": 1},
        {"kind": "reserv"},
        {"kind": "settle"},
        {"kind": 3},
    ],
    ids=str,
)
def test_a_field_that_is_not_as_it_must_be_is_named(change: dict[str, object]):
    line = changed(encode(a_round(3), PREVIOUS), **change)
    with pytest.raises(BadRecordError) as refused:
        decode(line, 9)
    assert refused.value.record == 9
    assert refused.value.fault is Fault.FIELDS
    if len(change) == 1 and "kind" not in change:
        assert next(iter(change)) in refused.value.detail


def test_a_missing_field_is_named():
    raw = json.loads(encode(a_round(3), PREVIOUS))
    del raw["roster"]
    with pytest.raises(BadRecordError, match="record 2: fields: 'roster' is missing in a record of the kind reserve"):
        decode(canonical(raw), 2)


def test_a_field_that_says_nothing_is_left_out():
    line = encode(Settle(round=1, survivors=70), PREVIOUS)
    with pytest.raises(BadRecordError, match="'members' is left out where it says nothing") as refused:
        decode(changed(line, members=None), 5)
    assert refused.value.fault is Fault.CANONICAL_FORM
    assert schema_needed(Settle(round=1, survivors=3)) == 1
    assert schema_needed(Settle(round=1, survivors=3, members=b"\x07")) == 2


def test_a_record_that_nobody_could_read_has_no_line():
    part = Central(mechanism="gaussian", noise_multiplier=Fraction(10**399 + 1, 10**399))
    record = Central(mechanism="composed", sampler="none", parts=(part,) * 64)
    with pytest.raises(InvalidParameterError, match="parts = .* short enough for 16384 bytes"):
        encode(record, PREVIOUS)


def test_a_part_has_nothing_that_a_line_does_not_hold():
    part = Central(mechanism="gaussian", noise_multiplier=Fraction(2), label="hidden")
    with pytest.raises(InvalidParameterError, match="parts"):
        encode(Central(mechanism="composed", sampler="none", parts=(part,)), PREVIOUS)


@pytest.mark.parametrize("schema", [0, 3, "1", None, True])
def test_a_foreign_schema_version_is_refused(schema: object):
    line = changed(encode(HEADER, NO_HEAD), schema=schema)
    with pytest.raises(BadRecordError) as refused:
        decode(line, 1)
    assert refused.value.fault is Fault.SCHEMA_VERSION


@pytest.mark.parametrize("scope", ["", "a" * 129, 'a"b', "a\\b", "a\nb", "é", 3])
def test_a_scope_is_a_short_name_that_needs_no_escapes(scope: Any):
    with pytest.raises(InvalidParameterError, match="scope"):
        encode(replace(HEADER, scope=scope), NO_HEAD)


@pytest.mark.parametrize(
    "change",
    [
        {"local_variance": 1.5},
        {"local_variance": Fraction(0)},
        {"invited": 10.0},
        {"session": "ab"},
        {"context": bytes(31)},
        {"sampling": "poisson"},
        {"sampling": Sampling(SampleKnownTo.NOBODY)},
        {"sampling": Sampling(SampleKnownTo.NOBODY, probability=Fraction(1, 2), sample=3)},
        {"scale": True},
        {"epsilon": Fraction(-1)},
    ],
    ids=str,
)
def test_what_has_no_line_is_refused_by_name(change: dict[str, Any]):
    with pytest.raises(InvalidParameterError, match=next(iter(change))):
        encode(replace(a_round(1), **change), NO_HEAD)


def test_no_line_for_what_is_no_record():
    with pytest.raises(InvalidParameterError, match="record"):
        encode({"kind": "settle"}, NO_HEAD)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="unit"):
        encode(replace(HEADER, unit="client"), NO_HEAD)  # type: ignore[arg-type]


def test_every_binary64_has_a_rational_of_its_own():
    codec = Rational()
    for number in (5e-324, 2.2250738585072014e-308, 0.1, 1 / 3, 1.7976931348623157e308, 0.0):
        text = codec.encode("number", Fraction(number))
        assert float(codec.decode("number", text)) == number


# --- The published schema ---

SCHEMA = json.loads((Path(dp.__file__).parent / "ledger.schema.json").read_text(encoding="utf-8"))


def fits(value: object, schema: dict[str, Any]) -> bool:
    """As much of JSON Schema 2020-12 as the published file uses."""
    known = {"$ref", "$defs", "$schema", "title", "description", "type", "const", "enum", "anyOf", "oneOf", "pattern"}
    known |= {"minimum", "maximum", "properties", "required", "additionalProperties", "items", "minItems", "maxItems"}
    assert schema.keys() <= known
    if "$ref" in schema and not fits(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]):
        return False
    types = {"integer": int, "string": str, "object": dict, "null": type(None), "array": list}
    if "type" in schema and (not isinstance(value, types[schema["type"]]) or isinstance(value, bool)):
        return False
    if "const" in schema and (value != schema["const"] or type(value) is not type(schema["const"])):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "anyOf" in schema and not any(fits(value, choice) for choice in schema["anyOf"]):
        return False
    if "oneOf" in schema and sum(fits(value, choice) for choice in schema["oneOf"]) != 1:
        return False
    if "pattern" in schema and not (isinstance(value, str) and re.search(schema["pattern"], value, re.ASCII)):
        return False
    if "minimum" in schema and not (isinstance(value, int) and schema["minimum"] <= value <= schema["maximum"]):
        return False
    if isinstance(value, list) and "items" in schema:
        whole = all(fits(part, schema["items"]) for part in value)
        return whole and schema["minItems"] <= len(value) <= schema["maxItems"]
    if isinstance(value, dict) and "properties" in schema:
        unknown = value.keys() - schema["properties"].keys()
        if unknown or not value.keys() >= set(schema["required"]):
            return False
        return all(fits(value[name], part) for name, part in schema["properties"].items() if name in value)
    return True


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_the_published_schema_knows_every_record(record: Record):
    raw = json.loads(encode(record, PREVIOUS))
    assert fits(raw, SCHEMA)
    assert not fits(raw | {"extra": 1}, SCHEMA)
    for name in raw.keys() - optional_fields(record).keys():
        assert not fits({key: value for key, value in raw.items() if key != name}, SCHEMA), name


def test_the_published_schema_has_the_ranges_of_the_code():
    from dp.ledger import records as ledger_records

    for kind, (_, codecs) in ledger_records._KINDS.items():
        properties = SCHEMA["$defs"][kind]["properties"]
        added = ledger_records._ADDED.get(kind, {})
        assert ledger_records._KEYS[kind] == set(SCHEMA["$defs"][kind]["required"])
        assert properties.keys() == ledger_records._KEYS[kind] | added.keys()
        for name, codec in codecs.items():
            assert_alike(codec, properties[name], f"{kind}.{name}")
        for name, codec in added.items():
            assert_alike_where_present(codec, properties[name], f"{kind}.{name}")


def optional_fields(record: Record) -> dict[str, Any]:
    from dp.ledger import records as ledger_records

    return dict(ledger_records._ADDED.get(ledger_records._NAMES[type(record)], {}))


def assert_alike_where_present(codec: Any, schema: dict[str, Any], name: str) -> None:
    """A field that is left out where it says nothing: 0, null and an empty array are not written."""
    codec = getattr(codec, "inner", codec)
    if isinstance(codec, Integer):
        codec = replace(codec, low=1)
    assert_alike(codec, schema, name)


def assert_alike(codec: object, schema: dict[str, Any], name: str) -> None:
    inner = getattr(codec, "inner", None)
    if inner is not None:
        assert fits(None, schema), name
        codec = inner
    else:
        assert not fits(None, schema), name
    if isinstance(codec, Integer):
        assert fits(codec.low, schema), name
        assert fits(codec.high, schema), name
        assert not fits(codec.low - 1, schema), name
        assert not fits(codec.high + 1, schema), name
    elif isinstance(codec, Rational):
        assert fits("1/2", schema), name
        assert fits("0/1", schema) is not codec.positive, name
        assert not fits("1/0", schema), name
    elif isinstance(codec, Bytes):
        assert fits("ab" * codec.low, schema), name
        assert fits("ab" * codec.high, schema), name
        assert not fits("ab" * (codec.high + 1), schema), name
        assert not fits("ab" * codec.low + "A", schema), name
    elif isinstance(codec, Member):
        assert {str(member) for member in codec.kind} == set(schema["enum"]), name
    elif isinstance(codec, Text) and codec.words is not None:
        assert codec.words == set(schema["enum"]), name
    elif isinstance(codec, Text):
        for letter in map(chr, range(256)):
            try:
                codec.decode(name, letter)
                allowed = True
            except InvalidParameterError:
                allowed = False
            assert fits(letter, schema) is allowed, letter


def test_units_and_relations_are_those_of_the_package():
    header = SCHEMA["$defs"]["header"]["properties"]
    assert set(header["unit"]["enum"]) == {str(unit) for unit in Unit}
    assert set(header["relation"]["enum"]) == {str(relation) for relation in Relation}
