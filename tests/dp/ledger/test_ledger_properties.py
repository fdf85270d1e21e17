"""Properties of the ledger: no byte changes unnoticed, and what a ledger says does not depend on how it was opened."""

import functools
import io
import json
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from dp.errors import BudgetExceededError, InvalidParameterError
from dp.ledger.audit import Verdict, audit
from dp.ledger.chain import read_chain
from dp.ledger.errors import BadRecordError, LedgerRefusedError
from dp.ledger.records import NO_HEAD, decode, encode
from dp.ledger.writer import Ledger
from tests.kit.ledger_scene import HEADER, KEY, a_ledger, a_round


@functools.cache
def signed_lines() -> tuple[bytes, ...]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger"
        a_ledger(path, rounds=2)
        return tuple(path.read_bytes().splitlines(keepends=True))


@pytest.mark.slow
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


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_any_run_of_lines_removed_before_the_signed_head_is_found(data: st.DataObject):
    lines = signed_lines()
    start = data.draw(st.integers(0, len(lines) - 2))
    stop = data.draw(st.integers(start + 1, len(lines) - 1))
    assert read_chain([*lines[:start], *lines[stop:]]).fault is not None
    order = data.draw(st.permutations(lines))
    assert (read_chain(order).fault is None) == (tuple(order) == lines)


@pytest.mark.slow
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


@pytest.mark.slow
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


class Server(RuleBasedStateMachine):
    """A server that reserves, settles, signs and restarts, within a budget."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.files = [Path(self.folder.name) / "ledger-0"]
        self.header = replace(HEADER, budget=Fraction(2))
        self.ledger = Ledger.create(self.files[0], self.header, KEY)
        self.reserved: dict[int, int | None] = {}
        self.last = 0
        self.heads = [self.ledger.sign_head()]

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    @rule(step=st.integers(-1, 2), noise=st.sampled_from([10**7, 10**8, 10**9]))
    def reserve(self, step: int, noise: int) -> None:
        before = self.files[-1].read_bytes()
        reserve = a_round(max(1, self.last + step), local_variance=Fraction(noise))
        try:
            self.heads.append(self.ledger.reserve(reserve))
        except BudgetExceededError:
            assert self.files[-1].read_bytes() == before
        except LedgerRefusedError:
            assert reserve.round <= self.last
            assert self.files[-1].read_bytes() == before
        else:
            assert reserve.round > self.last
            self.last = reserve.round
            self.reserved[reserve.round] = None

    @precondition(lambda self: self.last)
    @rule(data=st.data(), survivors=st.integers(65, 105))
    def settle(self, data: st.DataObject, survivors: int) -> None:
        number = data.draw(st.integers(1, self.last))
        allowed = number in self.reserved and self.reserved[number] is None and 70 <= survivors <= 100
        try:
            self.heads.append(self.ledger.settle(number, survivors))
        except (LedgerRefusedError, InvalidParameterError):
            assert not allowed
        else:
            assert allowed
            self.reserved[number] = survivors

    @rule()
    def sign(self) -> None:
        self.heads.append(self.ledger.sign_head())

    @rule(tail=st.binary(max_size=20).filter(lambda tail: b"\n" not in tail))
    def crash(self, tail: bytes) -> None:
        spent = self.ledger.spent
        self.ledger.close()
        with self.files[-1].open("ab") as file:
            file.write(tail)
        self.ledger = Ledger.open(self.files[-1], KEY, predecessors=self.files[:-1])
        assert (self.ledger.torn is not None) == (tail != b"")
        assert self.ledger.spent == spent

    @rule()
    def go_on_in_a_new_file(self) -> None:
        self.heads.append(self.ledger.finish())
        self.ledger.close()
        self.files.append(Path(self.folder.name) / f"ledger-{len(self.files)}")
        self.ledger = Ledger.create(self.files[-1], self.header, KEY, predecessors=self.files[:-1])
        self.heads.append(self.ledger.sign_head())

    @invariant()
    def the_audit_says_the_same(self) -> None:
        report = audit(self.files, expected_head=self.heads[len(self.heads) // 2], expected_key=KEY.public_key)
        assert report.verdict is Verdict.FINE
        assert self.ledger.head == self.heads[-1]
        assert report.total.promised == self.ledger.spent <= 2
        assert {release.round: release.survivors for release in report.releases} == self.reserved
        assert set(report.unsettled) == {number for number, survivors in self.reserved.items() if survivors is None}
        assert len(self.ledger.lines_since(NO_HEAD)) == report.files[-1].records


@pytest.mark.slow
def test_whatever_a_server_does_its_ledger_is_sound_and_within_the_budget():
    run_state_machine_as_test(Server, settings=settings(max_examples=20, stateful_step_count=15, deadline=None))
