"""The private run of the demo: it learns, its noise is the plan's, and every reserved round counts."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fl.app.demo import demo as demo_module
from fl.app.demo.demo import run_demo
from fl.app.demo.private_run import tolerated_dropouts
from fl.app.demo.settings import DemoSettings
from secagg.params import AdversaryModel, default_threshold
from tests.kit.demo_scene import NOBODY, SMALL, run


@pytest.mark.slow
def test_private_training_learns() -> None:
    report = run_demo(DemoSettings(clients=10, rounds=8, alpha=5, dropout=0, epsilon=40, clip=1))
    last = report.private_rounds[-1]
    # Ten seeds gave 0.89 to 0.93, both.
    assert last.accuracy > 0.8
    assert last.accuracy_trusted > 0.8


@pytest.mark.slow
def test_the_noise_is_what_the_plan_says() -> None:
    report = run_demo(DemoSettings(clients=5, rounds=3, dropout=0))
    assert report.private is not None
    expected = report.private.mean_stddev(5) ** 2
    measured = np.mean([one.noise**2 for one in report.private_rounds if one.noise is not None])
    # 7230 coordinates: a standard deviation of 1.7 %, so 10 % is exceeded with a probability below 1e-8. One share of
    # five that is missing is 20 %.
    assert abs(measured / expected - 1) < 0.1
    # Nobody colludes or may vanish: the trusted server's noise would be as much, but for the lattice.
    assert report.private.plan.min_survivors == report.private.plan.noise.honest_shares == 5
    assert 1 < report.private.mean_stddev(5) * 5 / report.private.trusted_stddev < 1.2


@pytest.mark.parametrize("adversary", AdversaryModel)
@pytest.mark.parametrize("clients", [4, 9, 50, 200, 500])
@pytest.mark.parametrize("dropout", [0.0, 0.01, 0.1, 0.3, 0.9])
def test_enough_clients_may_vanish_that_a_round_is_seldom_lost(
    adversary: AdversaryModel, clients: int, dropout: float
) -> None:
    settings = DemoSettings(clients=clients, dropout=dropout, adversary=adversary)
    stages = adversary.stages
    before = sum(stage in stages[: stages.index("masked_input") + 1] for stage in stages) / len(stages)
    likely = int(stats.binom.isf(1e-3, clients, dropout * before))
    assert tolerated_dropouts(settings) == min(likely, clients - default_threshold(clients) - 1)


@pytest.mark.slow
def test_a_private_round_that_is_lost_after_its_reserve_counts_and_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    drawn = [
        NOBODY,
        {**NOBODY, "unmask": frozenset({1, 2, 3, 4})},
        {**NOBODY, "masked_input": frozenset({1, 2, 3, 4})},
        NOBODY,
    ]
    monkeypatch.setattr(demo_module, "draw_dropouts", lambda *_: drawn.pop(0))
    code, output = run(*SMALL, "--rounds", "4", "--json", tmp_path / "figures.json")
    assert code == 0, output
    assert "2 of 4 private rounds were lost" in output
    assert "Reserved, and so spent: 1." in output
    figures = json.loads((tmp_path / "figures.json").read_text())
    rounds = [one["private"] for one in figures["rounds"]]
    assert [one["lost_at"] for one in rounds] == [None, "unmask", "masked_input", None]
    assert [one["reserved"] for one in rounds] == [True, True, False, True]
    assert rounds[0]["spent"] < rounds[1]["spent"] == rounds[2]["spent"] < rounds[3]["spent"] < 8
    assert rounds[0]["accuracy"] == rounds[1]["accuracy"] == rounds[2]["accuracy"]
    assert figures["private"]["unsettled_rounds"] == [2]
    assert [list(one["answered"].values()) for one in figures["rounds"]] == [
        [9] * 5,
        [9, 9, 9, 9, 5],
        [9, 9, 5],
        [9] * 5,
    ]
