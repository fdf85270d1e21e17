"""`secagg run` from its first round to its last: what the model becomes, and what a mistake costs."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import fl.app.run.opening
import fl.app.run.training
from dp.events import DiscreteGaussian
from dp.ledger.audit import Verdict, audit
from dp.ledger.writer import Ledger
from dp.vocabulary import Relation, Unit
from fl.app.exit_status import ExitStatus
from fl.app.run.checkpoint import Checkpoint
from fl.app.run.config import RunConfigError
from fl.app.run.errors import RunRefusedError
from tests.kit.run_scene import (
    MODES,
    PLAIN,
    PRIVATE,
    both_modes,
    change_study,
    command,
    content,
    run,
    run_until,
    write,
)


def test_a_plain_run_takes_the_exact_mean_every_round(place: Path):
    status, output, _ = command(write(place, PLAIN), "--json")
    figures = json.loads(output)
    assert status == 0
    assert (figures["ended"], figures["outcomes"]["released"], figures["privacy"]) == ("finished", 3, None)
    model = {"w": np.array([0.5, -1.0]), "n": np.array(7.0)}
    for number, one in enumerate(figures["rounds"], 1):
        # Clients 3, 5, 7 and 2**64 - 1, all with weight 1.
        model["w"] += np.mean(
            [[1.0 if (c // 2 + number) % 3 else -1.0, 1.0 if c % 4 == 3 else -1.0] for c in (3, 5, 7, 2**64 - 1)], 0
        )
        model["n"] += 1
        assert one["metrics"] == {"first": model["w"][0]}
        assert one["side_values"] == {"weight": 4.0}
        assert (one["round"], one["survivors"], one["invited"], one["epsilon"]) == (number, 4, 4, None)
    with np.load(place / "run" / "model.npz", allow_pickle=False) as loaded:
        np.testing.assert_array_equal(loaded["w"], model["w"].astype(np.float32), strict=True)
        np.testing.assert_array_equal(loaded["n"], model["n"].astype(np.int16), strict=True)
    assert set(content(place / "run")) == {"checkpoint", "lock", "model.npz", "plan.json", "rounds.jsonl"}


def test_arrays_that_the_study_uses_again_are_not_mixed_up(place: Path):
    report = run(write(place, PLAIN))
    change_study(
        place,
        ("class Study:", "mine = np.zeros(2)\n\nclass Study:"),
        (
            '        return Contribution({"w": np.array(signs)',
            '        mine[:] = signs\n        return Contribution({"w": mine',
        ),
    )
    again = run(write(place, PLAIN, ('"a_study:Study"', '"a_study:Study"\nfolder = "again"')))
    assert [one.metrics for one in again.done] == [one.metrics for one in report.done]


@pytest.mark.slow
def test_everything_at_once_with_noise(place: Path):
    change_study(
        place,
        (
            '{"w": np.array(signs), "n": np.array(1.0)})',
            '{"w": np.array(signs), "n": np.array(1.0)}, 3, {"loss": 2.5})',
        ),
    )
    config = write(
        place,
        PRIVATE,
        ("max_dropouts = 1", 'max_dropouts = 0\nadversary = "curious"'),
        ("epsilon = 20", "epsilon = 60"),
        ("delta = 1e-5", "delta = 1e-2"),
        ("clip = 2.0", "clip = 2.0\nweight_cap = 5\nmodulus_bits = 24"),
    )
    config.write_text(
        config.read_text()
        + '[[privacy.side_values]]\nname = "loss"\nlow = 0\nhigh = 5\nshare = 1\n'
        + "[privacy.adaptive]\nbit_stddev = 40\nlargest = 1e9\n"
        + '[training.optimizer]\nkind = "FedYogi"\n'
    )
    report = run(config)
    clips = [one.record.clip for one in report.done]
    checkpoint = Checkpoint.load(place / "run" / "checkpoint")
    assert clips[0] == 2.0
    # It stays where it is if the noise is exactly 0, which one round in 200 is: all three, 1 in 10**7.
    assert len({*clips, checkpoint.clip}) > 1
    for one in report.done:
        assert one.record.side_values.keys() == {"loss", "weight"}
    assert checkpoint.optimizer.kind == "FedYogi"
    assert checkpoint.optimizer.rounds == report.outcomes["released"]
    assert not (place / "run" / "identities").exists()


def test_examples_are_protected_one_by_one(place: Path):
    change_study(
        place,
        (
            'return Contribution({"w": np.array(signs), "n": np.array(1.0)})',
            (
                "each = np.array([1.0, *signs])\n"
                "        if client == 3:\n            return Contribution(examples=[])\n"
                "        return Contribution(examples=np.stack([each] * 2)) if client == 5 else Contribution(\n"
                '            examples=[{"w": np.array(signs), "n": np.array(1.0)}])'
            ),
        ),
    )
    extra = '\nunit = "example"\nexamples_per_client = 2\ndenominator = 4'
    report = run(write(place, PRIVATE, ("clip = 2.0", "clip = 2.0" + extra)))
    assert report.outcomes["released"] == 3
    assert report.to_json()["privacy"]["unit"] == "example"  # type: ignore[index]


@both_modes
def test_the_mean_is_of_those_who_were_left(place: Path, mode: str, monkeypatch: pytest.MonkeyPatch):
    gone = iter([{"masked_input": {5}}, {"advertise_keys": {3}, "unmask": {7}}, {"unmask": {7}}])
    asked: list[int] = []

    def drawn(*_: object) -> dict[str, frozenset[int]]:
        stages = dict.fromkeys(
            ("advertise_keys", "share_keys", "masked_input", "consistency", "unmask"), frozenset[int]()
        )
        return stages | {stage: frozenset(clients) for stage, clients in next(gone).items()}

    monkeypatch.setattr(fl.app.run.training, "draw_dropouts", drawn)

    class Counting(fl.app.run.training.Watcher):
        def training(self, round_number: int, *, contributed: int, clients: int) -> None:
            asked.append(clients)

    report = run(write(place, MODES[mode]), watcher=Counting())
    outcomes = [(one.record.outcome, one.record.survivors) for one in report.done]
    assert outcomes == [("released", 3), ("too few clients", None), ("released", 4)]
    assert asked == [3] * 3 + [3] * 3 + [4] * 4
    lost = report.done[1].record.detail
    assert lost.startswith("at unmask: ")
    if mode == "private":
        # The reserve was written before anybody was asked to unmask.
        assert lost.endswith("it was reserved and counts in full")
        assert audit([place / "run" / "ledger.jsonl"]).unsettled == (2,)
        spent = [one.record.epsilon for one in report.done]
        assert spent == sorted(set(spent))


def test_the_budget_is_kept_no_matter_who_spends_it(place: Path):
    """Another release on the same ledger leaves no room for the last rounds."""
    config = write(place, PRIVATE)
    run_until(2, config)
    ledger = place / "run" / "ledger.jsonl"
    with Ledger.open(ledger) as opened:
        opened.spend(DiscreteGaussian(Fraction(1), 1, Relation.ZERO_OUT, Unit.CLIENT))
    status, output, _ = command(config, "--resume", "--json")
    figures = json.loads(output)
    assert status == ExitStatus.EXHAUSTED
    assert figures["ended"] == "budget exhausted"
    assert "before round 3: the release would bring epsilon to " in figures["detail"]
    assert figures["outcomes"]["released"] == 2
    assert (place / "run" / "model.npz").exists()
    assert audit([ledger]).verdict is Verdict.FINE
    status, output, _ = command(config, "--resume")
    assert status == ExitStatus.EXHAUSTED
    assert "Stopped: the budget is exhausted before round 3" in " ".join(output.split())


def test_an_evaluation_that_fails_is_made_up_for(place: Path):
    change_study(place, ('return {"first": model["w"][0]}', "raise RuntimeError('no test data')"))
    config = write(place, PRIVATE)
    status, _, errors = command(config)
    assert status == 1
    assert "the study's evaluate in round 1: RuntimeError: no test data" in errors
    # The round is in the checkpoint: nothing is lost.
    assert Checkpoint.load(place / "run" / "checkpoint").round_number == 1
    assert command(config, "--resume")[0] == 1
    change_study(place)
    report = run(config, resume=True)
    assert report.outcomes["released"] == 3
    assert all(one.metrics.keys() == {"first"} for one in report.done)


def test_a_model_that_leaves_its_dtype_stops_the_run_and_is_not_written(place: Path):
    change_study(place, ("np.array(7, np.int16)", "np.array(32766, np.int16)"))
    config = write(place, PLAIN)
    status, _, errors = command(config)
    assert status == 1
    assert "array 'n': a value is out of the range of int16" in " ".join(errors.split())
    # The second round was released and could not be applied: it counts, and a smaller step goes on after it.
    config = write(place, PLAIN, ("rounds = 3", 'rounds = 3\noptimizer = {kind = "FedAvg", learning_rate = 0.1}'))
    report = run(config, resume=True)
    assert [one.record.outcome for one in report.done] == ["released", "lost", "released"]
    assert "it was begun, and its result is lost" in report.done[1].record.detail


def test_errors_are_typed(place: Path):
    """What a caller of the function, not of the command, can tell apart."""
    with pytest.raises(RunConfigError):
        run(write(place, PLAIN, ("clip = 1.0", "clip = 0.0")))
    with pytest.raises(RunRefusedError):
        run(write(place, PLAIN), resume=True)
