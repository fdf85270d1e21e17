"""In rounds without noise clients hand in losses and counts, which are summed securely; and what was clipped is told.

With noise only what the plan declares is sent, as nothing else gets noise.
"""

import json
from pathlib import Path

import pytest

from fl.app.run.config import read_config
from fl.app.run.opening import open_run
from fl.study import StudyError
from tests.kit.run_scene import PLAIN, PRIVATE, change_study, command, place, run, write

__all__ = ["place"]

COUNTS = (
    "clip = 1.0",
    'clip = 1.0\nside_values = [{ name = "right", low = 0, high = 1000 }, { name = "loss", low = 0, high = 5 }]',
)
HANDED_IN = ('"n": np.array(1.0)})', '"n": np.array(1.0)}, side_values={"right": client % 1000, "loss": 0.1})')
CLIENTS = (7, 3, (2**64 - 1) % 1000, 5)


def test_they_are_summed_securely_and_shown(place: Path):
    change_study(place, HANDED_IN)
    config = write(place, PLAIN, COUNTS)
    status, output, _ = command(config, "--json")
    assert status == 0
    for one in json.loads(output)["rounds"]:
        assert one["side_values"]["right"] == sum(CLIENTS)
        assert one["side_values"]["loss"] == pytest.approx(0.4, abs=1e-7)
        assert one["side_values"]["weight"] == 4
    _, shown, _ = command(config, "--resume")
    assert "sum of right 630, sum of loss 0.4" in " ".join(shown.split())


def test_a_round_whose_weights_are_all_nothing_still_has_them(place: Path):
    change_study(place, (HANDED_IN[0], HANDED_IN[1].replace(", side", ", 0, side")))
    record = run(write(place, PLAIN, COUNTS)).done[0].record
    assert (record.outcome, record.side_values["right"], record.side_values["weight"]) == ("no mean", sum(CLIENTS), 0)


@pytest.mark.parametrize("text", [PLAIN, PRIVATE], ids=["plain", "private"])
def test_what_is_not_declared_is_refused_by_name(place: Path, text: str):
    change_study(place, HANDED_IN)
    with pytest.raises(StudyError, match="side_values: 'loss' is missing or undeclared"):
        run(write(place, text))


def test_with_noise_the_reason_is_told(place: Path):
    change_study(place, HANDED_IN)
    with pytest.raises(StudyError, match="nothing else gets noise"):
        run(write(place, PRIVATE))


def test_a_run_says_which_part_of_the_updates_was_clipped(place: Path):
    result = run(write(place, PLAIN, ("clip = 1.0", "clip = 0.75")))
    assert [one.record.clipped for one in result.done] == [1.0, 1.0, 1.0]
    assert result.to_json()["clipped"] == 1.0
    change_study(place, ("signs = [", "signs = [1.5 if client == 3 else "))
    config = write(place, PLAIN, ('entry = "a_study:Study"', 'entry = "a_study:Study"\nfolder = "other"'))
    assert run(config).done[0].record.clipped == 0.25
    _, shown, _ = command(config, "--resume")
    assert "In the last sum the updates of 25% of the survivors were clipped." in shown


def test_with_noise_that_is_kept_to_the_clients(place: Path):
    result = run(write(place, PRIVATE))
    assert {one.record.clipped for one in result.done} == {None}


def test_a_counter_of_a_run_has_a_clip_of_its_own(place: Path):
    change_study(place, ('"n": np.array(1.0)', '"n": np.array(40.0)'))
    text = PLAIN.replace('averaged = ["n", "m"]', "").replace("clip = 1.0", "clip = 1.0\nclips = { n = 100 }")
    result = run(write(place, text))
    assert [one.record.clipped for one in result.done] == [0.0, 0.0, 0.0]
    with open_run(read_config(place / "config.toml"), resume=True) as opened:
        assert dict(opened.checkpoint.model)["n"] == 7 + 3 * 40
