"""The audit as an auditor runs it: what the exit status says."""

import json
from pathlib import Path

import pytest

from dp.events import Gaussian
from dp.ledger.writer import Ledger
from tests.kit.audit_scene import CENTRAL, run
from tests.kit.ledger_scene import HEADER, a_ledger, a_round, changed, lines_of, rechained


def test_over_the_budget_is_status_1(tmp_path: Path):
    with Ledger.create(tmp_path / "ledger", CENTRAL) as ledger:
        ledger.record_past(Gaussian(1.0), 3)
    code, output = run(tmp_path / "ledger")
    assert code == 1
    assert "3 x gaussian" in " ".join(output.split())
    assert "3 releases have noise that is a real number on paper." in output
    assert output.splitlines()[-1].startswith("OVER BUDGET: eps_promised is ")
    figures = json.loads(run(tmp_path / "ledger", "--json")[1])
    assert figures["verdict"] == "over budget"
    assert figures["continuous"] == 3


def test_a_wrong_figure_is_status_1_and_named(tmp_path: Path):
    path = tmp_path / "ledger"
    a_ledger(path, key=None)
    lines = lines_of(path)
    path.write_bytes(rechained([*lines[:2], changed(lines[2], survivors=101), *lines[3:]]))
    code, output = run(path)
    assert code == 1
    assert "record 3: figure: survivors = 101 is refused" in output
    assert output.splitlines()[-1].startswith("WRONG FIGURE")
    figures = json.loads(run(path, "--json")[1])
    assert [(fault["record"], fault["fault"]) for fault in figures["faults"]] == [(3, "figure")]


def test_a_broken_chain_is_status_3_and_named(path: Path):
    path.write_bytes(path.read_bytes().replace(b'"invited":100', b'"invited":101', 1))
    code, output = run(path)
    assert code == 3
    assert "record 2: chain: it is not the one that record 3 follows" in output
    assert output.splitlines()[-1].startswith("BROKEN")


def test_an_expectation_that_fails_is_status_3(path: Path):
    code, output = run(path, "--expect-head", "ab" * 32)
    assert code == 3
    assert "anchor: the ledger never had the expected head abab" in output
    code, output = run(path, "--expect-key", "ab" * 32)
    assert code == 3
    assert "signature: the key in the header is not the expected one" in output


def test_what_cannot_be_read_or_used_is_status_2(path: Path, tmp_path: Path):
    assert run(tmp_path / "nothing")[0] == 2
    assert "secagg audit:" in run(tmp_path / "nothing")[1]
    assert run(tmp_path)[0] == 2
    assert run()[0] == 2
    for option, text in (("--expect-head", "xyz"), ("--expect-head", "ab"), ("--expect-key", "é"), ("--rows", "1")):
        assert run(path, option, text)[0] == 2, (option, text)
    assert run(path, "--plot", tmp_path / "no" / "plot.svg")[0] == 2
    assert run(path, "--plot", tmp_path)[0] == 2
    path.write_bytes(b"".join([changed(lines_of(path)[0], schema=3), *lines_of(path)[1:]]))
    code, output = run(path)
    assert code == 2
    assert "record 1: schema version: 3, and this program reads 1, 2" in output
    assert output.splitlines()[-1].startswith("Not audited")


@pytest.mark.parametrize("content", [b"", b"{}\n", b"no ledger at all\n", b"\x89PNG\r\n\x1a\n", b"a" * 10**5])
def test_what_is_no_ledger_is_status_2(path: Path, content: bytes):
    path.write_bytes(content)
    code, output = run(path)
    assert code == 2
    assert "record 1: not a ledger" in output
    assert output.splitlines()[-1] == "Not audited: this is no ledger."
    figures = json.loads(run(path, "--json")[1])
    assert (figures["verdict"], figures["budget"]) == ("not a ledger", None)


def test_a_continued_ledger_needs_all_its_files(tmp_path: Path):
    with Ledger.create(tmp_path / "old", HEADER) as ledger:
        ledger.reserve(a_round(1))
        ledger.finish()
    with Ledger.create(tmp_path / "new", HEADER, predecessors=[tmp_path / "old"]) as ledger:
        ledger.reserve(a_round(2))
    code, output = run(tmp_path / "new")
    assert code == 2
    assert "give that one too, first" in " ".join(output.split())
    code, output = run(tmp_path / "old", tmp_path / "new")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines() if " of 100" in line] == ["2", "2:2"]
