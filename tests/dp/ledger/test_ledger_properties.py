"""Properties of the ledger: no byte changes unnoticed, and what a ledger says does not depend on how it was opened."""

import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from dp.errors import BudgetExceededError, InvalidParameterError
from dp.ledger.audit import Verdict, audit
from dp.ledger.errors import LedgerRefusedError
from dp.ledger.records import NO_HEAD
from dp.ledger.writer import Ledger
from tests.kit.ledger_scene import HEADER, KEY, a_round


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
