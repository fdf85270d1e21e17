"""What `secagg audit` shows."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kit.audit_scene import head_of, run
from tests.kit.ledger_scene import HEADER, KEY, a_ledger


def test_a_sound_ledger_is_shown_round_by_round_and_in_total(path: Path):
    code, output = run(path, "--expect-key", KEY.public_key.hex(), "--expect-head", head_of(path))
    assert code == 0
    assert "ward 7, 2026: zero-out of one client" in output
    assert "Budget: epsilon 8 at delta 1e-05, against the server and anybody who saw a roster; 2 of a round's" in output
    table = [line.split() for line in output.splitlines() if " of 100" in line]
    assert [row[:2] for row in table] == [["2", "1"], ["4", "2"], ["5", "3"]]
    assert [row[2:-6] for row in table] == [["81"], ["(>=", "70)"], ["83"]]
    figures = json.loads(run(path, "--json")[1])
    for row, release in zip(table, figures["releases"], strict=True):
        assert row[-4:] == [f"{value:.4g}" for value in release["epsilon"].values()]
    assert ["all", *(f"{value:.4g}" for value in figures["total"].values())] in [
        line.split() for line in output.splitlines()
    ]
    assert f"{path}: 7 records, head {head_of(path)}" in output
    assert "Not settled, and counted in full: 1 rounds (2)." in output
    assert "It had the expected head, and has 0 records since." in output
    assert "eps_realised is a guarantee only if" in output
    assert output.splitlines()[-1] == (
        f"Fine (recomputed and anchored): eps_promised is {figures['total']['promised']:.4g} of 8."
    )


@pytest.mark.slow
def test_a_long_ledger_is_shown_from_both_ends(tmp_path: Path):
    a_ledger(tmp_path / "ledger", rounds=60)
    output = run(tmp_path / "ledger", "--rows", 5)[1]
    rows = [line.split()[1] for line in output.splitlines() if " of 100" in line]
    assert rows == ["1", "2", "3", "59", "60"]
    assert "55 more" in output
    assert sum(" of 100" in line for line in run(tmp_path / "ledger")[1].splitlines()) == 40
    assert sum(" of 100" in line for line in run(tmp_path / "ledger", "--rows", 60)[1].splitlines()) == 60


def test_names_are_shown_as_they_are(tmp_path: Path):
    """Neither as markup nor as pictures."""
    scope = "[red]ward[/red] :smile: 7"
    a_ledger(tmp_path / "ledger", header=replace(HEADER, scope=scope))
    assert f"{scope}: zero-out of one client" in run(tmp_path / "ledger")[1]
