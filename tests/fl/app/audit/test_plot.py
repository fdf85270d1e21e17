"""The picture of an audit."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dp.ledger.writer import Ledger
from tests.kit.audit_scene import run
from tests.kit.ledger_scene import HEADER, a_round


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
    budget = next(line for line in picture.iter(f"{space}line") if line.attrib["class"] == "line s3")
    assert height / (points[0][1] - float(budget.attrib["y1"])) == pytest.approx(
        figures["total"]["promised"] / 1000, abs=0.002
    )


def test_a_plot_of_nothing_is_an_empty_frame(tmp_path: Path):
    Ledger.create(tmp_path / "ledger", HEADER).close()
    assert run(tmp_path / "ledger", "--plot", tmp_path / "plot.svg")[0] == 0
    assert "<polyline" not in (tmp_path / "plot.svg").read_text()
    (tmp_path / "ledger").write_bytes(b"{}\n")
    assert run(tmp_path / "ledger", "--plot", tmp_path / "plot.svg")[0] == 2
    ET.fromstring((tmp_path / "plot.svg").read_text())
