"""The verdict is the gravest of what an audit found."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from dp.ledger.audit import audit
from dp.ledger.audit_report import AuditReport, Verdict
from dp.ledger.errors import BadRecordError, Fault
from dp.ledger.figures import Figures
from tests.kit.ledger_scene import a_ledger


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> AuditReport:
    path: Path = tmp_path_factory.mktemp("ledgers") / "ledger"
    a_ledger(path, rounds=1)
    return audit([path])


def with_faults(report: AuditReport, *faults: Fault) -> Verdict:
    return replace(report, faults=tuple(BadRecordError(2, fault, "a reason") for fault in faults)).verdict


def test_what_has_no_fault_and_is_within_the_budget_is_fine(report: AuditReport) -> None:
    assert report.verdict is Verdict.FINE
    assert not report.over_budget


def test_the_gravest_fault_decides(report: AuditReport) -> None:
    assert with_faults(report, Fault.FIGURE) is Verdict.WRONG_FIGURE
    assert with_faults(report, Fault.FIGURE, Fault.CHAIN) is Verdict.BROKEN
    assert with_faults(report, Fault.CHAIN, Fault.SCHEMA_VERSION) is Verdict.FOREIGN


def test_only_the_promised_total_is_held_against_the_budget(report: AuditReport) -> None:
    assert report.header is not None
    budget = float(report.header.budget)
    over = replace(report, total=Figures(budget * 1.01, 0.0, 0.0, 0.0))
    assert over.over_budget
    assert over.verdict is Verdict.OVER_BUDGET
    assert not replace(report, total=Figures(budget, 2 * budget, 2 * budget, 2 * budget)).over_budget
    assert not replace(over, header=replace(report.header, budget=Fraction(2 * report.header.budget))).over_budget


def test_without_a_header_nothing_is_over_budget(report: AuditReport) -> None:
    assert not replace(report, header=None, total=Figures(9e9, 0.0, 0.0, 0.0)).over_budget
