"""The demo as a user runs it: real data, real sessions, exit codes, figures."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fl import demo as demo_module
from fl.commands import app
from fl.demo import DemoSettings, run_demo
from secagg.params import AdversaryModel
from secagg.simulate import simulate

SMALL = ["demo", "--clients", "9", "--rounds", "3", "--alpha", "5"]


@pytest.mark.parametrize("adversary", ["active", "curious"])
@pytest.mark.parametrize("modulus_bits", ["12", "32", "64"])
def test_the_demo_succeeds_and_writes_its_figures(tmp_path: Path, adversary: str, modulus_bits: str) -> None:
    target = tmp_path / "figures.json"
    options = ["--adversary", adversary, "--modulus-bits", modulus_bits, "--json", str(target), "--dropout", "0.05"]
    outcome = CliRunner().invoke(app, [*SMALL, *options])
    assert outcome.exit_code == 0, outcome.output
    assert "bit-exact" in outcome.output
    figures = json.loads(target.read_text())
    assert figures["exact"] is True
    assert len(figures["rounds"]) == 3
    assert figures["rounds"][0]["answered"]["masked_input"] <= 9


def test_one_seed_gives_one_training_whatever_the_protocol_draws() -> None:
    settings = DemoSettings(clients=8, rounds=2, dropout=0.1, seed=5)
    one, other = run_demo(settings), run_demo(settings)
    assert [r.accuracy_secure for r in one.rounds] == [r.accuracy_secure for r in other.rounds]
    assert [r.answered for r in one.rounds] == [r.answered for r in other.rounds]


def test_secure_training_is_as_good_as_plain_training() -> None:
    report = run_demo(DemoSettings(clients=10, rounds=12, alpha=5, dropout=0.05))
    last = report.rounds[-1]
    # Both run on 359 test images and differ in rounding and batch order only; measured gaps lie below 0.02.
    assert last.accuracy_secure > 0.9
    assert abs(last.accuracy_secure - last.accuracy_plain) < 0.04


def test_clients_vanish_at_every_stage() -> None:
    settings = DemoSettings(clients=30, rounds=4, dropout=0.3, adversary=AdversaryModel.ACTIVE)
    generator = np.random.default_rng(0)
    drawn = [demo_module._draw_dropouts(settings, generator) for _ in range(20)]
    assert all(any(dropouts[stage] for dropouts in drawn) for stage in demo_module.STAGES)


def test_a_sum_that_is_not_exact_is_reported_and_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by_one(*arguments: object, **keywords: object) -> object:
        outcome = simulate(*arguments, **keywords)  # type: ignore[arg-type]
        outcome.sum[0] ^= 1
        return outcome

    monkeypatch.setattr(demo_module, "simulate", off_by_one)
    outcome = CliRunner().invoke(app, SMALL)
    assert outcome.exit_code == 1
    assert "NOT EXACT" in outcome.output


def test_rounds_without_enough_clients_are_counted_and_none_released_exits_with_1() -> None:
    outcome = CliRunner().invoke(app, [*SMALL, "--dropout", "0.95"])
    assert outcome.exit_code == 1
    assert "NO SUM WAS RELEASED" in outcome.output
    assert "3 of 3 rounds were lost" in " ".join(outcome.output.split())


@pytest.mark.parametrize(
    "options",
    [
        ["--clients", "2"],
        ["--clients", "3"],
        ["--rounds", "0"],
        ["--alpha", "0"],
        ["--alpha", "nan"],
        ["--dropout", "1"],
        ["--dropout", "-0.1"],
        ["--dropout", "nan"],
        ["--modulus-bits", "65"],
        ["--modulus-bits", "3"],
        ["--adversary", "angry"],
        ["--seed", "-1"],
        ["--json", "/no/such/folder/figures.json"],
    ],
)
def test_unusable_options_exit_with_2_and_say_what_is_allowed(options: list[str]) -> None:
    outcome = CliRunner().invoke(app, ["demo", "--rounds", "1", *options])
    assert outcome.exit_code == 2, outcome.output
    assert "Traceback" not in outcome.output
