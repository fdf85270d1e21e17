"""The audit as an auditor runs it: what is printed, and what the exit status says."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from dp.events import Gaussian
from dp.ledger.records import Header
from dp.ledger.writer import Ledger
from dp.vocabulary import Relation, Unit
from fl.app.commands import app
from tests.kit.ledger_scene import HEADER, KEY, a_ledger, a_round, changed, lines_of, rechained

CENTRAL = Header(
    scope="training",
    unit=Unit.EXAMPLE,
    relation=Relation.ADD_REMOVE,
    delta=Fraction(1, 10**5),
    budget=Fraction(1),
)


def run(*options: object) -> tuple[int, str]:
    outcome = CliRunner(env={"COLUMNS": "80", "TERM": "dumb"}).invoke(app, ["audit", *map(str, options)])
    return outcome.exit_code, outcome.output


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Ledger.create(tmp_path / "ledger", HEADER, KEY) as ledger:
        for number in range(1, 4):
            ledger.reserve(a_round(number))
            if number != 2:
                ledger.settle(number, 80 + number)
        ledger.sign_head()
    return tmp_path / "ledger"


def test_a_sound_ledger_is_shown_round_by_round_and_in_total(path: Path):
    code, output = run(path, "--expect-key", KEY.public_key.hex(), "--expect-head", head_of(path))
    assert code == 0
    assert "ward 7, 2026: zero-out of one client" in output
    assert "Budget: epsilon 8 at delta 1e-05, against the server and whoever saw a roster; 2 of a round's" in output
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
    assert output.splitlines()[-1] == f"Fine: eps_promised is {figures['total']['promised']:.4g} of 8."


def head_of(path: Path) -> str:
    import hashlib

    return hashlib.sha256(lines_of(path)[-1]).hexdigest()


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


@pytest.mark.slow
def test_a_long_ledger_is_shown_from_both_ends(tmp_path: Path):
    a_ledger(tmp_path / "ledger", rounds=60)
    output = run(tmp_path / "ledger", "--rows", 5)[1]
    rows = [line.split()[1] for line in output.splitlines() if " of 100" in line]
    assert rows == ["1", "2", "3", "59", "60"]
    assert "55 more" in output
    assert sum(" of 100" in line for line in run(tmp_path / "ledger")[1].splitlines()) == 40
    assert sum(" of 100" in line for line in run(tmp_path / "ledger", "--rows", 60)[1].splitlines()) == 60


def test_what_a_chain_does_not_show_is_said(tmp_path: Path):
    a_ledger(tmp_path / "unsigned", rounds=1, key=None)
    code, output = run(tmp_path / "unsigned")
    assert code == 0
    assert "The ledger is not signed" in output
    assert "only a head from elsewhere shows: --expect-head" in output
    a_ledger(tmp_path / "signed", rounds=1)
    with Ledger.open(tmp_path / "signed", KEY) as ledger:
        ledger.reserve(a_round(2))
        ledger.settle(2, 90)
    assert "The 2 records at the end are covered by no signature." in run(tmp_path / "signed")[1]
    with Ledger.open(tmp_path / "signed", KEY) as ledger:
        ledger.finish()
    output = run(tmp_path / "signed", "--expect-key", KEY.public_key.hex())[1]
    assert "--expect" not in output
    assert "covered by no signature" not in output


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


def test_an_epsilon_without_bound_is_said_and_is_null(tmp_path: Path):
    with Ledger.create(tmp_path / "ledger", CENTRAL) as ledger:
        ledger.record_past(Gaussian(1e-160))
    code, output = run(tmp_path / "ledger", "--plot", tmp_path / "plot.svg")
    assert code == 1
    assert "unbounded" in output
    assert json.loads(run(tmp_path / "ledger", "--json")[1])["total"]["promised"] is None
    ET.fromstring((tmp_path / "plot.svg").read_text())


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
    path.write_bytes(b"")
    assert run(path)[0] == 3
    assert json.loads(run(path, "--json")[1])["budget"] is None


def test_an_expectation_that_fails_is_status_3(path: Path):
    code, output = run(path, "--expect-head", "ab" * 32)
    assert code == 3
    assert "anchor: the ledger never had the expected head abab" in output
    code, output = run(path, "--expect-key", "ab" * 32)
    assert code == 3
    assert "signature: the key in the header is not the expected one" in output


def test_a_torn_tail_is_said_and_no_fault(path: Path):
    path.write_bytes(path.read_bytes() + b'{"kind"')
    code, output = run(path)
    assert code == 0
    assert "7 bytes of an unfinished record are at the end" in output


def test_what_cannot_be_read_or_used_is_status_2(path: Path, tmp_path: Path):
    assert run(tmp_path / "nothing")[0] == 2
    assert "secagg audit:" in run(tmp_path / "nothing")[1]
    assert run(tmp_path)[0] == 2
    assert run()[0] == 2
    for option, text in (("--expect-head", "xyz"), ("--expect-head", "ab"), ("--expect-key", "é"), ("--rows", "1")):
        assert run(path, option, text)[0] == 2, (option, text)
    assert run(path, "--plot", tmp_path / "no" / "plot.svg")[0] == 2
    assert run(path, "--plot", tmp_path)[0] == 2
    path.write_bytes(b"".join([changed(lines_of(path)[0], schema=2), *lines_of(path)[1:]]))
    code, output = run(path)
    assert code == 2
    assert "record 1: schema version: 2, and this program reads 1" in output
    assert output.splitlines()[-1].startswith("Not audited")


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


@pytest.mark.slow
def test_the_plot_shows_what_was_spent_against_the_budget(tmp_path: Path):
    path, plot = tmp_path / "ledger", tmp_path / "plot.svg"
    with Ledger.create(path, replace(HEADER, scope="<ward> & co", budget=Fraction(10**3))) as ledger:
        for number in range(1, 601):
            ledger.reserve(a_round(number, local_variance=Fraction(10**9)))
    assert run(path, "--plot", plot)[0] == 0
    picture = ET.fromstring(plot.read_text(encoding="utf-8"))
    space = "{http://www.w3.org/2000/svg}"
    texts = [element.text for element in picture.iter(f"{space}text")]
    assert "<ward> & co: epsilon so far, at delta 1e-05" in texts
    assert {"promised", "realised", "outsider", "budget", "releases", "600"} <= set(texts)
    promised, *_ = picture.iter(f"{space}polyline")
    points = [tuple(map(float, point.split(","))) for point in promised.attrib["points"].split()]
    assert len(points) <= 402
    # To the right and upwards, from nothing.
    assert points == sorted(points, key=lambda point: (point[0], -point[1]))
    figures = json.loads(run(path, "--json")[1])
    height = points[0][1] - points[-1][1]
    budget = next(line for line in picture.iter(f"{space}line") if line.attrib["stroke"] == "#c0392b")
    assert height / (points[0][1] - float(budget.attrib["y1"])) == pytest.approx(
        figures["total"]["promised"] / 1000, abs=0.002
    )


def test_a_plot_of_nothing_is_an_empty_frame(tmp_path: Path):
    Ledger.create(tmp_path / "ledger", HEADER).close()
    assert run(tmp_path / "ledger", "--plot", tmp_path / "plot.svg")[0] == 0
    assert "<polyline" not in (tmp_path / "plot.svg").read_text()
    (tmp_path / "ledger").write_bytes(b"{}\n")
    assert run(tmp_path / "ledger", "--plot", tmp_path / "plot.svg")[0] == 3
    ET.fromstring((tmp_path / "plot.svg").read_text())
