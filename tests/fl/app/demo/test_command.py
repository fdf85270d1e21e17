"""`secagg demo` as a user runs it: real data, real sessions, a real ledger, exit codes, figures."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dp.ledger.audit import audit
from dp.ledger.errors import BadRecordError, Fault
from fl.app.demo import demo as demo_module
from fl.app.demo import private_run as demo_private
from fl.app.demo.private_run import LEDGER
from secagg.simulate import simulate
from tests.kit.demo_scene import SMALL, run
from tests.kit.page import parsed, words


@pytest.mark.slow
@pytest.mark.parametrize("adversary", ["active", "curious"])
@pytest.mark.parametrize("modulus_bits", ["12", "32", "64"])
def test_the_demo_succeeds_and_writes_its_figures(tmp_path: Path, adversary: str, modulus_bits: str) -> None:
    target = tmp_path / "figures.json"
    options = ["--adversary", adversary, "--modulus-bits", modulus_bits, "--json", target, "--dropout", "0.05"]
    code, output = run(*SMALL, *options)
    assert code == 0, output
    assert "bit-exact" in output
    figures = json.loads(target.read_text())
    assert figures["exact"] is True
    assert len(figures["rounds"]) == 3
    assert figures["rounds"][0]["answered"]["masked_input"] <= 9
    assert figures["private"]["audit"] == "fine"
    assert 0 < figures["private"]["epsilon_spent"] <= 8
    assert figures["private"]["epsilon_realised"] <= figures["private"]["epsilon_spent"]
    assert [bool(one["private"]["accuracy"]) for one in figures["rounds"]] == [True] * 3


@pytest.mark.slow
def test_rounds_without_enough_clients_are_counted_and_none_released_exits_with_1(tmp_path: Path) -> None:
    code, output = run(*SMALL, "--dropout", "0.95", "--report", tmp_path / "report.html")
    assert code == 1
    assert "NO SUM WAS RELEASED" in output
    assert "3 of 3 rounds were lost" in output
    assert "No private sum was released." in output
    assert "Epsilon 0 of 8 is spent" in output
    assert (tmp_path / "report.html").read_text().count("<svg") == 6


@pytest.mark.slow
def test_the_kept_ledger_passes_the_audit_that_the_demo_names(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    code, output = run(*SMALL, "--ledger", folder, "--json", tmp_path / "figures.json")
    assert code == 0, output
    command = next(line for line in output.splitlines() if line.startswith("secagg audit")).split()
    code, output = run(*command[1:])
    assert code == 0, output
    assert "It had the expected head" in output
    figures = json.loads((tmp_path / "figures.json").read_text())["private"]
    assert f"head {figures['ledger_head']}" in output
    report = audit([folder / LEDGER])
    assert report.total.promised == figures["epsilon_spent"]
    assert len(list((folder / "clients").glob("???"))) == 9


def test_a_folder_that_holds_something_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_text("mine")
    code, output = run(*SMALL, "--ledger", tmp_path)
    assert code == 2
    assert "never written over" in output
    assert [path.name for path in tmp_path.iterdir()] == [LEDGER]
    assert (tmp_path / LEDGER).read_text() == "mine"


@pytest.mark.slow
def test_without_a_budget_there_is_no_private_run(tmp_path: Path) -> None:
    code, output = run(*SMALL, "--epsilon", "0", "--json", tmp_path / "figures.json")
    assert code == 0, output
    assert "rivate" not in output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["private"] is None
    assert all(one["private"] is None for one in figures["rounds"])


@pytest.mark.parametrize(
    "options",
    [
        ["--clients", "2"],
        ["--clients", "3"],
        ["--rounds", "0"],
        ["--alpha", "0"],
        ["--alpha", "nan"],
        ["--dropout", "1"],
        ["--dropout", "-0.1"],
        ["--dropout", "nan"],
        ["--modulus-bits", "65"],
        ["--modulus-bits", "3"],
        ["--adversary", "angry"],
        ["--seed", "-1"],
        ["--epsilon", "-1"],
        ["--epsilon", "nan"],
        ["--epsilon", "inf"],
        ["--epsilon", "1e-9"],
        ["--epsilon", "1e6"],
        ["--delta", "0"],
        ["--delta", "1"],
        ["--delta", "nan"],
        ["--clip", "0"],
        ["--clip", "inf"],
        ["--clip", "nan"],
        ["--clip", "1e300"],
        ["--ledger", "/no/such/folder/ledger"],
        ["--ledger", "anything", "--epsilon", "0"],
        ["--json", "/no/such/folder/figures.json"],
        ["--report", "/no/such/folder/report.html"],
    ],
)
def test_unusable_options_exit_with_2_and_say_what_is_allowed(options: list[str]) -> None:
    code, output = run("demo", "--rounds", "1", *options)
    assert code == 2, output
    assert "Traceback" not in output
    assert any(
        word in output for word in ("must be", "say active", "folder", "no ledger", "No such", "use modulus_bits")
    ), output


def test_a_sum_that_is_not_exact_is_reported_and_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by_one(*arguments: object, **keywords: object) -> object:
        outcome = simulate(*arguments, **keywords)  # type: ignore[arg-type]
        outcome.sum[0] ^= 1
        return outcome

    monkeypatch.setattr(demo_module, "simulate", off_by_one)
    code, output = run(*SMALL, "--rounds", "1", "--epsilon", "0")
    assert code == 1
    assert "NOT EXACT" in output


@pytest.mark.slow
def test_a_ledger_that_an_audit_finds_fault_with_is_reported_and_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*arguments: object, **keywords: object) -> object:
        report = audit(*arguments, **keywords)  # type: ignore[arg-type]
        return replace(report, faults=(BadRecordError(2, Fault.CHAIN, "somebody was here"),))

    monkeypatch.setattr(demo_private, "audit", faulty)
    code, output = run(*SMALL, "--rounds", "1")
    assert code == 1
    assert "the audit of the ledger says: broken" in output


@pytest.mark.slow
def test_the_report_of_a_command_is_the_page(tmp_path: Path) -> None:
    options = [
        "--clients",
        "4",
        "--rounds",
        "1",
        "--report",
        str(tmp_path / "page.html"),
        "--ledger",
        str(tmp_path / "l"),
    ]
    code, output = run("demo", "--dropout", "0", *options)
    assert code == 0, output
    content = words(parsed((tmp_path / "page.html").read_text(encoding="utf-8")))
    assert str(tmp_path) not in content
    assert audit([tmp_path / "l" / "ledger.jsonl"]).files[-1].head.hex() in content
