"""Any bytes and any values are a record, or the one error."""

import functools
import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dp.ledger.errors import BadRecordError
from dp.ledger.records import decode, encode
from tests.kit.ledger_scene import a_ledger


@functools.cache
def signed_lines() -> tuple[bytes, ...]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger"
        a_ledger(path, rounds=2)
        return tuple(path.read_bytes().splitlines(keepends=True))


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_record_or_the_one_error(line: bytes):
    try:
        record, previous = decode(line, 1)
    except BadRecordError:
        return
    assert encode(record, previous) == line


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=1000, deadline=None)
@given(data=st.data())
def test_any_value_in_a_field_is_a_record_or_the_one_error(data: st.DataObject):
    raw = json.loads(data.draw(st.sampled_from(signed_lines())))
    raw[data.draw(st.sampled_from(sorted(raw)))] = data.draw(JSON_VALUES)
    line = json.dumps(raw, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    try:
        record, previous = decode(line, 1)
    except BadRecordError:
        return
    assert encode(record, previous) == line
