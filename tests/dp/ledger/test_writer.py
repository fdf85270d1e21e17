"""The ledger: two records a round, a budget that is kept, a chain that is signed and continued."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from dp.accounting.accountant import RdpAccountant
from dp.errors import BudgetExceededError, InvalidParameterError
from dp.events import (
    Skellam,
)
from dp.ledger.records import NO_HEAD, Settle, decode, line_hash
from dp.ledger.writer import Ledger
from tests.kit.ledger_scene import HEADER, a_round, lines_of


def records_of(path: Path) -> list[Any]:
    return [decode(line, number)[0] for number, line in enumerate(lines_of(path), 1)]


# --- Rounds ---


def test_a_round_is_two_records_in_a_chain(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger:
        first = ledger.head
        assert (ledger.unsettled, ledger.spent) == ((), 0.0)
        reserved = ledger.reserve(a_round(1))
        assert ledger.unsettled == (1,)
        settled = ledger.settle(1, 84)
        assert ledger.unsettled == ()
        assert ledger.head == settled
        assert ledger.header == HEADER
    lines = lines_of(path)
    assert [line_hash(line) for line in lines] == [first, reserved, settled]
    assert [decode(line, 1)[1] for line in lines] == [NO_HEAD, first, reserved]
    header, reserve, settle = records_of(path)
    assert header == HEADER
    assert replace(reserve, epsilon=None) == a_round(1)
    assert settle == Settle(round=1, survivors=84)


def test_what_counts_is_the_fewest_survivors_settled_or_not(tmp_path: Path):
    with Ledger.create(tmp_path / "ledger", HEADER) as ledger:
        ledger.reserve(a_round(1))
        unsettled = ledger.spent
        ledger.settle(1, 100)
        assert ledger.spent == unsettled
    # 70 survivors less 2 colluders.
    event = Skellam(68 * a_round(1).local_variance, 10**6, 10**6)
    assert unsettled == pytest.approx(RdpAccountant().compose(event).epsilon(1e-5).value, rel=1e-9)


def test_totals_add_curves_and_not_epsilons(tmp_path: Path):
    with Ledger.create(tmp_path / "ledger", HEADER) as ledger:
        ledger.reserve(a_round(1))
        one = ledger.spent
        for number in range(2, 5):
            ledger.reserve(a_round(number))
        assert ledger.spent < 3 * one
        event = Skellam(68 * a_round(1).local_variance, 10**6, 10**6)
        assert ledger.spent == pytest.approx(RdpAccountant().compose(event, 4).epsilon(1e-5).value, rel=1e-9)


# --- The budget ---


def test_a_round_over_the_budget_is_refused_and_leaves_nothing(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, replace(HEADER, budget=Fraction(1))) as ledger:
        ledger.reserve(a_round(1))
        ledger.reserve(a_round(2))
        before, spent, head = path.read_bytes(), ledger.spent, ledger.head
        assert ledger.would_exceed(a_round(3))
        with pytest.raises(BudgetExceededError) as refused:
            ledger.reserve(a_round(3))
        assert refused.value.budget == 1
        assert refused.value.spent > 1
        assert (path.read_bytes(), ledger.spent, ledger.head) == (before, spent, head)
        # More noise fits.
        quiet = a_round(3, local_variance=Fraction(10**9))
        assert not ledger.would_exceed(quiet)
        ledger.reserve(quiet)
        assert spent < ledger.spent <= 1


def test_the_budget_is_used_to_the_last_round_that_fits(tmp_path: Path):
    event = Skellam(68 * a_round(1).local_variance, 10**6, 10**6)
    budget = Fraction(RdpAccountant().compose(event, 7).epsilon(1e-5).value * (1 + 1e-9))
    with Ledger.create(tmp_path / "ledger", replace(HEADER, budget=budget)) as ledger:
        for number in range(1, 8):
            ledger.reserve(a_round(number))
        with pytest.raises(BudgetExceededError):
            ledger.reserve(a_round(8))


def test_a_budget_is_kept_over_a_restart_by_unsettled_rounds_too(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, replace(HEADER, budget=Fraction(1))) as ledger:
        ledger.reserve(a_round(1))
        ledger.reserve(a_round(2))
        spent = ledger.spent
    with Ledger.open(path) as ledger:
        assert ledger.spent == spent
        assert ledger.unsettled == (1, 2)
        with pytest.raises(BudgetExceededError):
            ledger.reserve(a_round(3))


def test_a_promise_that_is_not_finite_is_over_any_budget(tmp_path: Path):
    with (
        Ledger.create(tmp_path / "ledger", replace(HEADER, budget=Fraction(10**150))) as ledger,
        pytest.raises(BudgetExceededError),
    ):
        ledger.reserve(a_round(1, local_variance=Fraction(1, 10**6)))


# --- Heads, keys and continued files ---


def test_lines_since_a_head_are_those_that_were_added(tmp_path: Path):
    path = tmp_path / "ledger"
    with Ledger.create(path, HEADER) as ledger:
        first = ledger.head
        second = ledger.reserve(a_round(1))
        ledger.settle(1, 80)
        lines = lines_of(path)
        assert ledger.lines_since(NO_HEAD) == tuple(lines)
        assert ledger.lines_since(first) == tuple(lines[1:])
        assert ledger.lines_since(second) == tuple(lines[2:])
        assert ledger.lines_since(ledger.head) == ()
        with pytest.raises(InvalidParameterError, match="head"):
            ledger.lines_since(bytes(31) + b"\1")
    with Ledger.open(path) as ledger:
        assert ledger.lines_since(second) == tuple(lines[2:])


@pytest.mark.parametrize(
    "change", [{"delta": Fraction(0)}, {"delta": Fraction(1)}, {"delta": 1e-5}, {"budget": -1}, {"colluders": -1}]
)
def test_a_header_out_of_range_makes_no_file(tmp_path: Path, change: dict[str, Any]):
    with pytest.raises(InvalidParameterError, match=next(iter(change))):
        Ledger.create(tmp_path / "ledger", replace(HEADER, **change))
    assert not (tmp_path / "ledger").exists()
