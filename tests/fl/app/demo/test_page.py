"""The report: one well-formed page that needs nothing else, with pictures that show the demo's own figures."""

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from dp.ledger.audit import audit
from fl.app.charts import Axis, Level, Line, cells, group_chart, line_chart, picture, text
from fl.app.demo import demo as demo_module
from fl.app.demo.demo import run_demo
from fl.app.demo.outcome import DemoReport
from fl.app.demo.page import html
from fl.app.demo.pictures import accuracies, epsilons, presence, rounding, seen, traffic
from fl.app.demo.sentences import private_sentences, secure_sentences
from fl.app.demo.settings import DemoSettings
from fl.arrays.schema import ArraySchema
from fl.private.plan_page import sections
from fl.private.planning import make_plan
from secagg import Stage
from secagg.params import AdversaryModel

_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 392, 22, 222
"""The frame that lines are drawn in."""


@pytest.fixture(scope="module")
def report() -> DemoReport:
    return run_demo(DemoSettings(clients=6, rounds=4, dropout=0.1, seed=3))


@pytest.fixture(scope="module")
def page(report: DemoReport) -> str:
    return html(report)


@pytest.fixture(scope="module")
def tree(page: str) -> ET.Element:
    return parsed(page)


def parsed(page: str) -> ET.Element:
    """Returns the page's tree; ET knows no entity but XML's own five and takes no unclosed tag."""
    assert page.startswith("<!DOCTYPE html>\n")
    return ET.fromstring(page)


def words(element: ET.Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def points(svg: str) -> list[list[tuple[float, float]]]:
    """Returns the lines of a picture as drawn."""
    drawn = re.findall(r'<polyline[^>]* points="([^"]*)"', svg)
    return [[tuple(map(float, pair.split(","))) for pair in line.split()] for line in drawn]  # type: ignore[misc]


@pytest.mark.slow
def test_it_needs_nothing_else(page: str, tree: ET.Element) -> None:
    assert len(page.encode()) < 2_000_000
    assert not re.search(r"https?:|//[a-z]|url\(|@import|javascript:|data:", page)
    tags = {element.tag for element in tree.iter()}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "use", "a"}
    attributes = {name for element in tree.iter() for name in element.attrib}
    assert not {name for name in attributes if name.startswith("on") or name in {"src", "href", "style"}}
    policy = next(meta for meta in tree.iter("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.get("content") == "default-src 'none'; style-src 'unsafe-inline'"


def test_it_says_how_wide_a_phone_is_and_in_which_language_it_is(tree: ET.Element) -> None:
    assert tree.get("lang") == "en"
    viewport = next(meta for meta in tree.iter("meta") if meta.get("name") == "viewport")
    assert viewport.get("content") == "width=device-width, initial-scale=1"
    assert next(tree.iter("meta")).get("charset") == "utf-8"
    assert next(tree.iter("title")).text


@pytest.mark.slow
def test_every_picture_has_a_title_a_description_and_a_view_box(tree: ET.Element) -> None:
    pictures = list(tree.iter("svg"))
    assert len(pictures) == 6
    ids = {element.get("id"): element for element in tree.iter() if element.get("id")}
    for svg in pictures:
        assert [float(number) for number in str(svg.get("viewBox")).split()][:3] == [0, 0, 400]
        assert svg.get("role") == "img"
        named = [ids[name] for name in str(svg.get("aria-labelledby")).split()]
        assert [element.tag for element in named] == ["title", "desc"]
        assert all(element.text for element in named)
        assert not svg.get("width")
    captions = [words(caption) for caption in tree.iter("figcaption")]
    assert len(captions) == 6
    assert all(captions)


def test_no_two_elements_share_an_id(tree: ET.Element) -> None:
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids)) >= 12


def test_headings_begin_with_one_and_leave_out_no_level(tree: ET.Element) -> None:
    levels = [int(element.tag[1]) for element in tree.iter() if re.fullmatch("h[1-6]", element.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))


def test_it_has_the_plan_the_ledgers_head_and_the_same_sentences_as_the_terminal(
    report: DemoReport, tree: ET.Element
) -> None:
    assert report.private is not None
    content = words(tree)
    for section in sections(report.private.plan):
        assert section.title in content
        assert all(" ".join(paragraph.split()) in content for paragraph in section.paragraphs)
    assert report.private.head.hex() in content
    assert report.private.anchor is not None
    assert report.private.anchor.hex() in content
    for sentence in (*secure_sentences(report), *private_sentences(report)):
        assert sentence in content


def test_the_tables_hold_the_numbers(report: DemoReport, tree: ET.Element) -> None:
    tables = {words(next(table.iter("caption"))): table for table in tree.iter("table")}
    rows = [[words(cell) for cell in row] for row in tables["Round by round"].iter("tr")]
    head, body = rows[0], rows[1:]
    assert len(body) == len(report.rounds)
    for one, row in zip(report.rounds, body, strict=True):
        shown = dict(zip(head, row, strict=True))
        assert one.private is not None
        assert shown["round"] == str(one.number)
        assert shown["secure"] == f"{one.accuracy_secure:.3f}"
        assert shown["private"] == f"{one.private.accuracy:.3f}"
        assert shown["trusted server"] == f"{one.private.accuracy_trusted:.3f}"
        assert shown["epsilon spent"] == f"{one.private.spent:.3f}"
    assert report.evidence is not None
    errors = [[words(cell) for cell in row] for row in tables["Rounding error of a coordinate of the mean"].iter("tr")]
    assert [row[0] for row in errors[1:]] == [str(one.modulus_bits) for one in report.evidence.rounding]
    assert len(list(tables["Bytes per client"].iter("tr"))) == 5


def test_whatever_goes_into_the_page_is_escaped(report: DemoReport) -> None:
    assert report.private is not None
    scope = "<script>alert('1')</script>&amp;\""
    plan = make_plan(
        scope=scope.replace('"', ""),
        schema=ArraySchema.of({"w": np.zeros(9)}),
        clients=6,
        max_dropouts=1,
        colluders=0,
        clip=1.0,
        epsilon=8.0,
        delta=1e-5,
        rounds=4,
    )
    page = html(replace(report, private=replace(report.private, plan=plan)))
    assert "<script" not in page
    assert "<script>alert('1')</script>&amp;" in words(parsed(page))
    drawn = ET.fromstring(picture("a", "<t>&", "<d>'\"&", 5, [text(1, 2, "<x>&")]))
    assert [element.text for element in drawn] == ["<t>&", "<d>'\"&", "<x>&"]


def test_accuracies_lie_where_they_belong(report: DemoReport) -> None:
    drawn = points(accuracies(report))
    assert len(drawn) == 5
    central, _, secure, private, trusted = drawn
    for line, values in (
        (central, [one.accuracy_central for one in report.rounds]),
        (secure, [one.accuracy_secure for one in report.rounds]),
        (private, [one.accuracy for one in report.private_rounds]),
        (trusted, [one.accuracy_trusted for one in report.private_rounds]),
    ):
        assert [(_BOTTOM - y) / (_BOTTOM - _TOP) for _, y in line] == pytest.approx(values, abs=5e-4)
        assert [x for x, _ in line] == pytest.approx(np.linspace(_LEFT, _RIGHT, len(values)), abs=0.06)


def test_epsilon_rises_to_the_budget_and_not_above(report: DemoReport) -> None:
    assert report.private is not None
    svg = epsilons(report, report.private)
    promised, realised = points(svg)
    budget = float(re.findall(r'<line class="line s1"[^>]* y1="([\d.]+)"', svg)[0])
    assert promised[0] == realised[0] == (_LEFT, _BOTTOM)
    heights = [y for _, y in promised]
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] >= budget - 0.1
    assert all(mine <= theirs for (_, mine), (_, theirs) in zip(promised, realised, strict=True))
    assert f"of a budget of {report.settings.epsilon:g}." in svg


@pytest.mark.slow
def test_a_round_that_spent_nothing_leaves_epsilon_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = dict.fromkeys(Stage, frozenset[int]())
    drawn = [nobody, {**nobody, "advertise_keys": frozenset({1, 2, 3})}, nobody]
    monkeypatch.setattr(demo_module, "draw_dropouts", lambda *_: drawn.pop(0))
    report = run_demo(DemoSettings(clients=6, rounds=3))
    assert report.private is not None
    promised, _ = points(epsilons(report, report.private))
    assert promised[1][1] == promised[2][1] > promised[3][1]
    page = parsed(html(report))
    assert "lost" in [words(cell) for cell in page.iter("td")]
    assert "1 of 3 rounds were lost" in words(page)


def test_bars_are_as_long_as_the_bytes_they_stand_for(report: DemoReport) -> None:
    assert report.private is not None
    svg = traffic(report)
    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)" height="14.0"', svg)]
    up = np.mean([one.bytes_up for one in report.rounds if one.exact])
    down = np.mean([one.bytes_down for one in report.rounds if one.exact])
    model, ideal = 4 * report.vector_length, math.ceil(report.vector_length * report.settings.modulus_bits / 8)
    mine = [one for one in report.private_rounds if one.lost_at is None]
    mine_up, mine_down = np.mean([one.bytes_up for one in mine]), np.mean([one.bytes_down for one in mine])
    packed = report.private.plan.session.packed_vector_bytes
    expected = [model, ideal, up - ideal, down, packed, mine_up - packed, mine_down]
    # Only the ratios are drawn; the longest bar is as wide as there is room.
    assert [width / widths[0] for width in widths] == pytest.approx([size / model for size in expected], rel=2e-3)


def test_dropouts_are_bars_down_to_where_a_round_ended(report: DemoReport) -> None:
    svg = presence(report)
    heights = [float(height) for height in re.findall(r'<rect [^>]*width="[\d.]+" height="([\d.]+)"', svg)]
    counts = [count for one in report.rounds for count in one.answered.values()]
    # The legend's boxes come last.
    assert len(heights) == len(counts) + 5
    unit = (_BOTTOM - _TOP) / (6 * 1.06)
    assert heights[: len(counts)] == pytest.approx([count * unit for count in counts], abs=0.06)
    levels = [float(y) for y in re.findall(r'<line class="line s[34]"[^>]* x2="392" y1="([\d.]+)"', svg)]
    least = report.private.plan.min_survivors if report.private else 0
    assert levels == pytest.approx([_BOTTOM - (report.threshold + 1) * unit, _BOTTOM - least * unit], abs=0.06)


def test_rounds_that_would_be_too_narrow_are_left_out_and_that_is_said(report: DemoReport) -> None:
    many = replace(report, rounds=[replace(report.rounds[0], number=number) for number in range(1, 101)])
    svg = presence(many)
    assert svg.count("<rect") == 40 * 5 + 5
    assert "Shown are the first 40 of 100 rounds." in svg


def test_what_the_server_saw_is_another_picture_than_the_update(report: DemoReport) -> None:
    assert report.evidence is not None
    svg = seen(report.evidence)
    bars = [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', svg)]
    truth, masked = bars[:24], bars[24:]
    assert len(masked) == 24
    assert min(truth) < 1 < max(truth)
    # Of 2411 uniform words a bin of 24 has 100 or so: one with fewer than half of the most is 5 sigma away.
    assert min(masked) > 0.5 * max(masked) == 35
    everything = ET.fromstring(svg)
    squares = {
        colour: sum(str(path.get("d")).count("M") for path in everything.iter("path") if path.get("class") == colour)
        for colour in ("f2", "f3")
    }
    assert squares == {"f2": 768, "f3": 768}


def test_rounding_falls_on_a_logarithmic_axis(report: DemoReport) -> None:
    assert report.evidence is not None
    measured, bound = points(rounding(report, report.evidence))
    assert all(lower > higher for (_, lower), (_, higher) in zip(measured, bound, strict=True))
    steps = np.diff([y for _, y in measured])[4:]
    # A quarter each time: a line.
    assert steps == pytest.approx(np.full(len(steps), steps.mean()), rel=0.15)
    assert "10⁻" in rounding(report, report.evidence)


@pytest.mark.parametrize("adversary", AdversaryModel)
def test_without_a_private_run_there_are_five_pictures_and_no_plan(adversary: AdversaryModel) -> None:
    report = run_demo(DemoSettings(clients=5, rounds=1, epsilon=0, dropout=0, adversary=adversary))
    tree = parsed(html(report))
    assert len(list(tree.iter("svg"))) == 5
    assert "rivacy" not in words(tree)
    assert ("signature" in words(next(svg for svg in tree.iter("svg") if "still there" in words(svg)))) is (
        adversary is AdversaryModel.ACTIVE
    )


@pytest.mark.parametrize("exact", [False, None])
def test_a_demo_that_went_wrong_is_shown_as_such(report: DemoReport, exact: bool | None) -> None:
    rounds = [replace(one, exact=exact) for one in report.rounds]
    page = html(replace(report, rounds=rounds))
    assert '<div class="verdict bad">' in page
    assert ("A RELEASED SUM WAS NOT EXACT" in page) is (exact is False)
    assert ("NO SUM WAS RELEASED" in page) is (exact is None)
    assert "verdict bad" not in html(report)


# --- The charts themselves ---


@pytest.mark.parametrize(
    ("low", "high", "logarithmic", "ticks"),
    [
        (0, 1, False, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 8.5, False, [0, 2, 4, 6, 8]),
        (1, 20, False, [5, 10, 15, 20]),
        (1e-3, 20, True, [1e-3, 1e-2, 0.1, 1, 10]),
        (1e-11, 1, True, [1e-11, 1e-9, 1e-7, 1e-5, 1e-3, 0.1]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, logarithmic: bool, ticks: list[float]) -> None:
    assert Axis(low, high, 0, 100, logarithmic).ticks() == pytest.approx(ticks)


def test_an_axis_keeps_what_is_beyond_it_at_its_ends() -> None:
    axis = Axis(0, 10, 100, 0)
    assert [axis.at(value) for value in (-1, 0, 2.5, 10, 11)] == [100, 100, 75, 0, 0]
    assert Axis(1, 100, 0, 10, logarithmic=True).at(10) == pytest.approx(5)


def every_chart() -> Iterator[str]:
    yield line_chart("a", "t", "d", [Line("one", [(1, 0.0)], 0)], x_label="x", y_label="y")
    yield line_chart(
        "b", "t", "d", [Line("x" * 40, [(1, 2.0), (9, 3.0)], 1, "2 3")], [Level("l", 7, 2)], x_label="x", y_label="y"
    )
    yield group_chart("c", "t", "d", [], ["one"], x_label="x", y_label="y", colour=1)
    yield group_chart("d", "t", "d", [("g", [0.0]), ("h", [])], ["one", "two"], x_label="x", y_label="y", colour=1)


def test_charts_of_next_to_nothing_are_whole() -> None:
    for svg in every_chart():
        drawn = ET.fromstring(svg)
        assert "nan" not in svg
        assert "inf" not in svg
        for element in drawn.iter():
            for name in ("x", "y", "x1", "x2", "y1", "y2", "width", "height"):
                assert 0 <= float(element.get(name, "0")) <= 400


def test_cells_of_one_shade_are_one_element() -> None:
    drawn = list(cells([0.0, 1.0, 0.5, 1.0], 2, 10, 20, 5, 3))
    assert drawn == [
        '<path class="f3" fill-opacity="0.00" d="M10 20h5v5h-5z"/>',
        '<path class="f3" fill-opacity="0.53" d="M10 25h5v5h-5z"/>',
        '<path class="f3" fill-opacity="1.00" d="M15 20h5v5h-5zM15 25h5v5h-5z"/>',
    ]


def test_the_report_of_a_command_is_the_page(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from fl.app.commands import app

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
    outcome = CliRunner().invoke(app, ["demo", "--dropout", "0", *options])
    assert outcome.exit_code == 0, outcome.output
    content = words(parsed((tmp_path / "page.html").read_text(encoding="utf-8")))
    assert str(tmp_path) not in content
    assert audit([tmp_path / "l" / "ledger.jsonl"]).files[-1].head.hex() in content
