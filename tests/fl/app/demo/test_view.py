"""What `secagg demo` shows on a terminal."""

from pathlib import Path

import pytest

from fl.app.demo.result import DemoResult
from fl.app.demo.view import show


def test_it_shows_accuracies_costs_and_the_audit_to_make(
    result: DemoResult, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    show(result, Path("kept"))
    output = capsys.readouterr().out
    for words in ("6 clients, threshold 4, ACTIVE", "central", "trusted server, epsilon 8", "bytes up per client"):
        assert words in output
    assert result.private is not None
    assert result.private.anchor is not None
    assert f"secagg audit kept/ledger.jsonl --expect-head {result.private.anchor.hex()}" in output


def test_a_ledger_that_is_gone_is_not_named(result: DemoResult, capsys: pytest.CaptureFixture[str]) -> None:
    show(result)
    assert "The ledger was temporary" in capsys.readouterr().out
