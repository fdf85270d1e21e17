"""The chain: any change up to the last signed head is found."""

import functools
import io
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dp.ledger.chain import read_chain
from tests.kit.ledger_scene import a_ledger


@functools.cache
def signed_lines() -> tuple[bytes, ...]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger"
        a_ledger(path, rounds=2)
        return tuple(path.read_bytes().splitlines(keepends=True))


@settings(max_examples=1000, deadline=None)
@given(data=st.data())
def test_any_byte_changed_up_to_the_last_signed_head_is_found(data: st.DataObject):
    content = b"".join(signed_lines())
    position = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[position]))
    changed = content[:position] + bytes([byte]) + content[position + 1 :]
    chain = read_chain(io.BytesIO(changed))
    if position == len(content) - 1:
        # The line feed after the signed head itself: the head is torn off, and nothing before it has changed.
        assert chain.torn
        assert chain.signed == 0
    else:
        assert chain.fault is not None
        # The line of the byte is named; the one before it where it is the last that can say so.
        line = content[:position].count(b"\n") + 1
        assert chain.fault.record in (line, line - 1)


@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_any_run_of_lines_removed_before_the_signed_head_is_found(data: st.DataObject):
    lines = signed_lines()
    start = data.draw(st.integers(0, len(lines) - 2))
    stop = data.draw(st.integers(start + 1, len(lines) - 1))
    assert read_chain([*lines[:start], *lines[stop:]]).fault is not None
    order = data.draw(st.permutations(lines))
    assert (read_chain(order).fault is None) == (tuple(order) == lines)
