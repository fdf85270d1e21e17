"""What came of a demo: counts, verdicts and plain data."""

import json
from dataclasses import replace

import pytest

from fl.app.demo import demo as demo_module
from fl.app.demo.demo import run_demo
from fl.app.demo.result import DemoResult, mean_bytes, stage_counts
from fl.app.demo.settings import DemoSettings
from tests.kit.demo_scene import NOBODY


def test_counts_are_over_rounds_with_a_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [{**NOBODY, "share_keys": frozenset({2})}, {**NOBODY, "advertise_keys": frozenset(range(1, 6))}, NOBODY]
    monkeypatch.setattr(demo_module, "draw_dropouts", lambda *_: drawn.pop(0))
    result = run_demo(DemoSettings(clients=6, rounds=3, epsilon=0))
    assert [one.lost_at for one in result.rounds] == [None, "advertise_keys", None]
    assert stage_counts(result)["advertise_keys"] == (6, 6)
    assert stage_counts(result)["unmask"] == (5.5, 5)
    assert mean_bytes({1: 10, 2: 20, 3: 90}, frozenset({1, 2})) == 15


def test_a_demo_is_sound_if_its_sums_are_exact_and_its_ledger_is(result: DemoResult) -> None:
    assert result.exact
    assert result.sound
    wrong = replace(result, rounds=[replace(result.rounds[0], exact=False), *result.rounds[1:]])
    assert not wrong.sound
    lost = replace(result, rounds=[replace(one, exact=None) for one in result.rounds])
    assert (lost.lost_rounds, lost.exact) == (4, False)


def test_plain_data_has_all_rounds_and_what_was_spent(result: DemoResult) -> None:
    assert result.private is not None
    figures = json.loads(json.dumps(result.to_json()))
    assert len(figures["rounds"]) == 4
    assert figures["private"]["epsilon_spent"] == result.private.audit.total.promised
    assert figures["private"]["ledger_head"] == result.private.head.hex()
    assert figures["settings"]["adversary"] == "ACTIVE"
