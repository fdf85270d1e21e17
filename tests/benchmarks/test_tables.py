"""Tables, JSON and plots of the benchmarks: pure functions of what was measured."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from benchmarks.cells import Cell
from benchmarks.cost_model import Prediction
from benchmarks.measuring import Measurement
from benchmarks.outcomes import Outcome, as_tables, document, plot
from benchmarks.plots import Panel, Series, render, superscript
from benchmarks.scaling import by_clients, by_length
from benchmarks.scaling import plot as scaling_plot
from benchmarks.tables import Table, as_document, seconds, size
from benchmarks.targets import targets_of
from tests.benchmarks.test_cost_model import COSTS

PREDICTED = Prediction(0.1, 0.2, 12.0)
CELL = Cell(100, 10**6, 0.3, 32, "curious", "complete")
MEASURED = Measurement(
    client_cpu_s={"advertise_keys": 0.0002, "share_keys": 0.007, "masked_input": 0.06, "unmask": 0.0003},
    client_total_s=0.0675,
    all_clients_cpu_s=6.75,
    server_cpu_s={"advertise_keys": 0.005, "share_keys": 0.01, "masked_input": 0.1, "unmask": 1.2},
    unmask_wall_s={"1": 1.2, "2": 0.7},
    unmask_cpu_s={"1": 1.2, "2": 1.3},
    up_bytes=4_019_500,
    down_bytes=22_800,
    server_peak_bytes=13_000_000,
    wall_s=8.5,
    repeats=1,
)
OUTCOMES = [
    Outcome(CELL, PREDICTED, MEASURED),
    Outcome(replace(CELL, length=10**4), PREDICTED, replace(MEASURED, up_bytes=59_300, server_peak_bytes=None)),
    Outcome(replace(CELL, clients=1000), PREDICTED, skipped="skipped, about 900 s"),
    Outcome(replace(CELL, model="active"), PREDICTED, failed="WRONG: the sum is wrong"),
]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.345, "2.35 s"),
        (0.9999, "1.00 s"),
        (0.0123, "12.3 ms"),
        (0.000042, "42.0 µs"),
        (123.4, "123 s"),
        (0.0, "0.00 µs"),
    ],
)
def test_a_time_is_written_in_the_unit_that_fits(value: float, text: str):
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(999, "1.00 kB"), (12, "12 B"), (4_019_500, "4.02 MB"), (2.5e9, "2.50 GB")]
)
def test_bytes_are_written_in_the_unit_that_fits(value: float, text: str):
    assert size(value) == text


def test_a_table_is_the_same_in_text_and_markdown():
    table = Table("Title", ("one", "two"), [("a", "12"), ("bcd", "3")])
    assert table.text().splitlines() == ["Title", "", "one  two", "---  ---", "a     12", "bcd    3"]
    assert table.markdown().splitlines()[2:] == ["| one | two |", "| --- | --: |", "| a | 12 |", "| bcd | 3 |"]


def test_every_cell_has_a_row_and_what_was_not_measured_says_why():
    [summary, clients, server, targets] = as_tables(OUTCOMES)
    assert len(summary.rows) == 4
    assert "skipped, about 900 s" in summary.rows[2]
    assert any("WRONG" in cell for cell in summary.rows[3])
    assert len(clients.rows) == len(server.rows) == 2
    assert {len(row) for row in summary.rows} == {len(summary.headings)}
    assert [row[-1] for row in targets.rows] == ["yes", "yes"]


def test_a_missed_target_is_named():
    slow = replace(MEASURED, client_total_s=0.2)
    assert [target.met for target in targets_of(CELL, slow)] == [True, False, True]
    [_, *_, targets] = as_tables([Outcome(CELL, PREDICTED, slow)])
    assert [row[-1] for row in targets.rows] == ["NO", "yes"]


def test_the_large_cohort_has_a_target_after_the_last_message():
    cell = Cell(1000, 10**6, 0.1, 32, "active", "sparse")
    what = "after the last message, two threads, wall: 11.0 s, at most 10.0 s"
    for one_thread_cpu_s, two_threads_cpu_s, verdict in [
        (15.0, 15.0, "NO"),
        (7.5, 8.0, "machine busy: 8.00 s of CPU"),
        (10.5, 12.0, "NO"),
    ]:
        figures = replace(
            MEASURED,
            unmask_wall_s={"1": 15.0, "2": 11.0},
            unmask_cpu_s={"1": one_thread_cpu_s, "2": two_threads_cpu_s},
        )
        [_, target] = targets_of(cell, figures)
        assert not target.met
        assert str(target) == f"{what}: {verdict}"


def test_the_json_keeps_its_form():
    figures = json.loads(as_document(document(OUTCOMES, COSTS, 60.0, {"cores": 2})))
    assert list(figures) == ["format", "machine", "unit_costs", "budget_s", "cells"]
    assert figures["format"] == "secagg-bench-matrix-1"
    [measured, _, skipped, failed] = figures["cells"]
    assert list(measured) == ["cell", "predicted", "measured", "skipped", "failed"]
    assert list(measured["cell"]) == [
        "clients",
        "length",
        "dropout",
        "modulus_bits",
        "model",
        "graph",
        "neighbours",
        "threshold",
    ]
    assert set(measured["measured"]) == {
        "client_cpu_s",
        "client_total_s",
        "all_clients_cpu_s",
        "server_cpu_s",
        "server_total_s",
        "unmask_wall_s",
        "unmask_cpu_s",
        "up_bytes",
        "down_bytes",
        "server_peak_bytes",
        "wall_s",
        "repeats",
    }
    assert (skipped["measured"], skipped["skipped"]) == (None, "skipped, about 900 s")
    assert failed["failed"].startswith("WRONG")


def svg(text: str) -> ET.Element:
    root = ET.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "<script" not in text
    # Nothing is fetched: the only address is that of the namespace.
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert "nan" not in text
    return root


def places(root: ET.Element) -> list[tuple[float, float]]:
    circles = root.iter("{http://www.w3.org/2000/svg}circle")
    return [(float(one.attrib["cx"]), float(one.attrib["cy"])) for one in circles]


def test_equal_factors_are_equal_distances():
    root = svg(render("T", [Panel("p", "x", [Series("a & <b>", [(10, 1), (100, 10), (1000, 100)])])]))
    [(x0, y0), (x1, y1), (x2, y2)] = places(root)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert "a & <b>" in "".join(root.itertext())


def test_one_label_has_one_colour_in_every_panel_and_one_line_in_the_legend():
    series = [Series("one", [(1, 1), (2, 2)]), Series("two", [(1, 2), (2, 4)], dashed=True)]
    text = render("T", [Panel("p", "x", series), Panel("q", "x", series[::-1])])
    root = svg(text)
    colours = {one.attrib["stroke"] for one in root.iter("{http://www.w3.org/2000/svg}polyline")}
    assert len(colours) == 2
    assert text.count(">one</text>") == text.count(">two</text>") == 1
    assert "prefers-color-scheme: dark" in text


@pytest.mark.parametrize("points", [[], [(5, 7)], [(1, 1), (1, 1)]])
def test_few_points_or_none_are_drawn_all_the_same(points: list):
    assert len(places(svg(render("T", [Panel("p", "x", [Series("a", points)])])))) == len(points)


def test_powers_of_ten_are_written_as_such():
    assert [superscript(value) for value in (10, 1000, 10**6, 20_000)] == ["10", "10³", "10⁶", "20,000"]


def test_outcomes_make_plots():
    assert len(places(svg(plot(OUTCOMES)))) == 7
    svg(plot([]))
    grown = [Outcome(replace(CELL, dropout=0.1, length=10**4), PREDICTED, MEASURED)]
    assert len(places(svg(scaling_plot(grown)))) == 6


def test_scaling_goes_up_to_what_is_asked():
    assert max(cell.clients for cell in by_clients(1000)) == 1000
    assert {cell.length for cell in by_length(1000)} == {100, 1000}
    assert all(cell.worth_running for cell in by_clients(10_000))
