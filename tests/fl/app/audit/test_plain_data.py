"""An audit as plain data, for programs."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dp.events import Gaussian
from dp.ledger.writer import Ledger
from tests.kit.audit_scene import CENTRAL, head_of, run
from tests.kit.ledger_scene import KEY


def test_everything_is_there_for_programs(path: Path):
    code, output = run(path, "--json")
    figures = json.loads(output)
    assert code == 0
    assert figures["verdict"] == "fine"
    assert figures["budget"] == {
        "scope": "ward 7, 2026",
        "unit": "client",
        "relation": "zero-out",
        "delta": 1e-5,
        "epsilon": 8.0,
        "adversary": "participant",
        "colluders": 2,
    }
    assert figures["unsettled"] == [2]
    assert figures["files"] == [
        {
            "path": str(path),
            "records": 7,
            "head": head_of(path),
            "key": KEY.public_key.hex(),
            "signed": 7,
            "closed": False,
            "torn": 0,
        }
    ]
    assert [release["survivors"] for release in figures["releases"]] == [81, None, 83]
    assert figures["total"].keys() == {"promised", "realised", "server", "outsider"}
    assert figures["total"]["realised"] < figures["total"]["promised"] == figures["total"]["server"]
    assert figures["releases"][-1]["so_far"]["promised"] == pytest.approx(figures["total"]["promised"], rel=0.01)
    assert figures["bound"]["method"] == "rdp"
    assert figures["faults"] == []
    assert any("--expect-key" in note for note in figures["notes"])


def test_an_epsilon_without_bound_is_said_and_is_null(tmp_path: Path):
    with Ledger.create(tmp_path / "ledger", CENTRAL) as ledger:
        ledger.record_past(Gaussian(1e-160))
    code, output = run(tmp_path / "ledger", "--plot", tmp_path / "plot.svg")
    assert code == 1
    assert "unbounded" in output
    assert json.loads(run(tmp_path / "ledger", "--json")[1])["total"]["promised"] is None
    ET.fromstring((tmp_path / "plot.svg").read_text())
