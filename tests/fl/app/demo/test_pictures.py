"""The pictures of a demo: they show the demo's own figures."""

import math
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from fl.app.demo import demo as demo_module
from fl.app.demo.demo import run_demo
from fl.app.demo.page import html
from fl.app.demo.pictures import accuracies, epsilons, presence, rounding, seen, traffic
from fl.app.demo.result import DemoResult
from fl.app.demo.settings import DemoSettings
from secagg import Stage
from tests.kit.page import FRAME, parsed, points, words

_LEFT, _RIGHT, _TOP, _BOTTOM = FRAME


def test_accuracies_lie_where_they_belong(result: DemoResult) -> None:
    drawn = points(accuracies(result))
    assert len(drawn) == 5
    central, _, secure, private, trusted = drawn
    for line, values in (
        (central, [one.accuracy_central for one in result.rounds]),
        (secure, [one.accuracy_secure for one in result.rounds]),
        (private, [one.accuracy for one in result.private_rounds]),
        (trusted, [one.accuracy_trusted for one in result.private_rounds]),
    ):
        assert [(_BOTTOM - y) / (_BOTTOM - _TOP) for _, y in line] == pytest.approx(values, abs=5e-4)
        assert [x for x, _ in line] == pytest.approx(np.linspace(_LEFT, _RIGHT, len(values)), abs=0.06)


def test_epsilon_rises_to_the_budget_and_not_above(result: DemoResult) -> None:
    assert result.private is not None
    svg = epsilons(result, result.private)
    promised, realised = points(svg)
    budget = float(re.findall(r'<line class="line s1"[^>]* y1="([\d.]+)"', svg)[0])
    assert promised[0] == realised[0] == (_LEFT, _BOTTOM)
    heights = [y for _, y in promised]
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] >= budget - 0.1
    assert all(mine <= theirs for (_, mine), (_, theirs) in zip(promised, realised, strict=True))
    assert f"of a budget of {result.settings.epsilon:g}." in svg


def test_bars_are_as_long_as_the_bytes_they_stand_for(result: DemoResult) -> None:
    assert result.private is not None
    svg = traffic(result)
    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)" height="14.0"', svg)]
    up = np.mean([one.bytes_up for one in result.rounds if one.exact])
    down = np.mean([one.bytes_down for one in result.rounds if one.exact])
    model, ideal = 4 * result.vector_length, math.ceil(result.vector_length * result.settings.modulus_bits / 8)
    mine = [one for one in result.private_rounds if one.lost_at is None]
    mine_up, mine_down = np.mean([one.bytes_up for one in mine]), np.mean([one.bytes_down for one in mine])
    packed = result.private.plan.session.packed_vector_bytes
    expected = [model, ideal, up - ideal, down, packed, mine_up - packed, mine_down]
    # Only the ratios are drawn; the longest bar is as wide as there is room.
    assert [width / widths[0] for width in widths] == pytest.approx([size / model for size in expected], rel=2e-3)


def test_dropouts_are_bars_down_to_where_a_round_ended(result: DemoResult) -> None:
    svg = presence(result)
    heights = [float(height) for height in re.findall(r'<rect [^>]*width="[\d.]+" height="([\d.]+)"', svg)]
    counts = [count for one in result.rounds for count in one.answered.values()]
    # The legend's boxes come last.
    assert len(heights) == len(counts) + 5
    unit = (_BOTTOM - _TOP) / (6 * 1.06)
    assert heights[: len(counts)] == pytest.approx([count * unit for count in counts], abs=0.06)
    levels = [float(y) for y in re.findall(r'<line class="line s[34]"[^>]* x2="392" y1="([\d.]+)"', svg)]
    least = result.private.plan.min_survivors if result.private else 0
    assert levels == pytest.approx([_BOTTOM - (result.threshold + 1) * unit, _BOTTOM - least * unit], abs=0.06)


def test_rounds_that_would_be_too_narrow_are_left_out_and_that_is_said(result: DemoResult) -> None:
    many = replace(result, rounds=[replace(result.rounds[0], number=number) for number in range(1, 101)])
    svg = presence(many)
    assert svg.count("<rect") == 40 * 5 + 5
    assert "Shown are the first 40 of 100 rounds." in svg


def test_what_the_server_saw_is_another_picture_than_the_update(result: DemoResult) -> None:
    assert result.evidence is not None
    svg = seen(result.evidence)
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


def test_rounding_falls_on_a_logarithmic_axis(result: DemoResult) -> None:
    assert result.evidence is not None
    measured, bound = points(rounding(result, result.evidence))
    assert all(lower > higher for (_, lower), (_, higher) in zip(measured, bound, strict=True))
    steps = np.diff([y for _, y in measured])[4:]
    # A quarter each time: a line.
    assert steps == pytest.approx(np.full(len(steps), steps.mean()), rel=0.15)
    assert "10⁻" in rounding(result, result.evidence)


@pytest.mark.slow
def test_a_round_that_spent_nothing_leaves_epsilon_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = dict.fromkeys(Stage, frozenset[int]())
    drawn = [nobody, {**nobody, "advertise_keys": frozenset({1, 2, 3})}, nobody]
    monkeypatch.setattr(demo_module, "draw_dropouts", lambda *_: drawn.pop(0))
    result = run_demo(DemoSettings(clients=6, rounds=3))
    assert result.private is not None
    promised, _ = points(epsilons(result, result.private))
    assert promised[1][1] == promised[2][1] > promised[3][1]
    page = parsed(html(result))
    assert "lost" in [words(cell) for cell in page.iter("td")]
    assert "1 of 3 rounds were lost" in words(page)
