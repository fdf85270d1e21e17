"""Rounds without noise."""

from pathlib import Path

from tests.kit.run_scene import PLAIN, change_study, run, write


def test_weights_of_nothing_have_no_mean_and_the_run_goes_on(place: Path):
    change_study(place, ('"n": np.array(1.0)})', '"n": np.array(1.0)}, 0 if round_number == 2 else 1)'))
    report = run(write(place, PLAIN))
    assert [one.record.outcome for one in report.done] == ["released", "no mean", "released"]
    assert "weight 0" in report.done[1].record.detail
    assert report.done[1].metrics == {}
