"""`secagg run` as its user runs it: own data and model, with noise and without, and all that can be wrong with them."""

import json
import os
import re
import stat
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import fl.app.run.training
from dp.events import DiscreteGaussian
from dp.ledger.audit import Verdict, audit
from dp.ledger.errors import LedgerLockedError
from dp.ledger.records import Reserve, decode
from dp.ledger.writer import Ledger
from dp.vocabulary import Relation, Unit
from fl.app.commands import app
from fl.app.run.checkpoint import Checkpoint
from fl.app.run.config import RunConfigError
from fl.app.run.folder import RunFolder, RunRefusedError
from fl.errors import PlanMismatchError
from fl.study import StudyError
from tests.kit.run_scene import MODES, PLAIN, PRIVATE, both_modes, change_study, content, place, run, write

__all__ = ["place"]

EXAMPLES = Path(__file__).parents[4] / "examples"


def command(*arguments: object) -> tuple[int, str, str]:
    outcome = CliRunner(env={"COLUMNS": "100", "TERM": "dumb"}).invoke(app, ["run", *map(str, arguments)])
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return outcome.exit_code, outcome.stdout, outcome.stderr


def refuses(config: Path, what: str, *, folder: str = "run") -> PlanMismatchError:
    """Resumes a run, which is refused and changes nothing."""
    before = content(config.parent / folder)
    with pytest.raises(PlanMismatchError) as caught:
        run(config, resume=True)
    assert caught.value.what == what
    assert content(config.parent / folder) == before
    status, output, errors = command(config, "--resume")
    assert (status, output) == (4, "")
    assert f"secagg run: another {what} than this plan's: " in errors
    return caught.value


# --- What it does ---


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


def test_a_run_with_noise_spends_its_budget_and_no_more(place: Path):
    config = write(place, PRIVATE, ("clip = 2.0", 'clip = 2.0\nledger_key = "ledger.key"'))
    status, output, _ = command(config)
    text = " ".join(output.split())
    assert status == 0
    assert "3 of 3 rounds: 3 released." in text
    assert "Spent: epsilon 20 of 20 at delta 1e-05, for each client, with up to 0 colluders." in text
    folder = place / "run"
    head, key = re.findall(r"--expect-head ([0-9a-f]{64}) --expect-key ([0-9a-f]{64})", output)[0]
    report = audit([folder / "ledger.jsonl"], expected_head=bytes.fromhex(head), expected_key=bytes.fromhex(key))
    assert report.verdict is Verdict.FINE
    assert report.files[0].closed
    # Signed after every round, and closed: all of it is covered.
    assert report.files[0].signed == report.files[0].records
    assert sorted(path.name for path in (folder / "identities").iterdir()) == ["18446744073709551615", "3", "5", "7"]
    for secret in (place / "ledger.key", *(folder / "identities").iterdir()):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_ledger_is_signed_after_every_round(place: Path):
    config = write(place, PRIVATE, ("clip = 2.0", 'clip = 2.0\nledger_key = "ledger.key"'))
    for rounds in (1, 2):
        run_until(rounds, config, resume=rounds > 1)
        file = audit([place / "run" / "ledger.jsonl"]).files[0]
        assert (file.signed, file.records, file.closed) == (1 + 3 * rounds, 1 + 3 * rounds, False)


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

    monkeypatch.setattr(fl.app.run.training, "_drawn", drawn)

    class Counting(fl.app.run.training.Watcher):
        def training(self, round_number: int, contributed: int, clients: int) -> None:
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


def test_clients_vanish_as_often_as_asked_at_every_stage():
    plan: Any = type("Plan", (), {"session": type("Session", (), {"active": True})})
    drawn = [fl.app.run.training._drawn(tuple(range(1000)), 0.2, plan) for _ in range(10)]
    counts = [sum(len(gone[stage]) for gone in drawn) for stage in fl.app.run.training.Stage]
    # 2000 of 10,000, 400 at each of five stages: six standard deviations are 240 and 118, so 1 in 10**8 runs fails.
    assert abs(sum(counts) - 2000) < 240
    assert all(abs(count - 400) < 118 for count in counts)
    plan.session.active = False
    assert not fl.app.run.training._drawn(tuple(range(1000)), 0.9, plan)["consistency"]
    assert not any(fl.app.run.training._drawn(tuple(range(1000)), 0.0, plan).values())


def test_a_run_that_releases_nothing_is_status_1(place: Path):
    config = write(place, PLAIN, ("colluders = 0", "colluders = 0\nsimulated_dropout = 0.999999"))
    status, output, errors = command(config)
    assert status == 1
    assert "NO ROUND RELEASED A MEAN" in output
    assert "3 of 3 rounds: 3 too few clients." in output
    assert "round 2: too few clients: at advertise_keys" in " ".join(errors.split()) or "round 2: too few" in errors
    assert json.loads(command(config, "--resume", "--json")[1])["metrics"] == {}


def test_weights_of_nothing_have_no_mean_and_the_run_goes_on(place: Path):
    change_study(place, ('"n": np.array(1.0)})', '"n": np.array(1.0)}, 0 if round_number == 2 else 1)'))
    report = run(write(place, PLAIN))
    assert [one.record.outcome for one in report.done] == ["released", "no mean", "released"]
    assert "weight 0" in report.done[1].record.detail
    assert report.done[1].metrics == {}


def test_noisy_weights_of_nothing_have_no_mean(place: Path, monkeypatch: pytest.MonkeyPatch):
    from fl.private.vector import PrivateSum

    monkeypatch.setattr(PrivateSum, "denominator", property(lambda self: -1.0))
    report = run(write(place, PRIVATE, ("clip = 2.0", "clip = 2.0\nweight_cap = 5")))
    assert report.outcomes["no mean"] == 3
    assert report.metrics == {}
    status, output, _ = command(place / "config.toml", "--resume")
    assert status == 1
    assert "NO ROUND RELEASED A MEAN" in output


def test_only_the_last_rounds_are_shown(place: Path):
    status, output, _ = command(write(place, PLAIN, ("rounds = 3", "rounds = 14")))
    assert status == 0
    assert "2 more" in output
    assert [line.split()[0] for line in output.splitlines() if " released " in line and " of 4 " in line] == [
        str(number) for number in range(3, 15)
    ]


def test_the_budget_is_kept_whoever_spends_it(place: Path):
    """Another release on the same ledger leaves no room for the last rounds."""
    config = write(place, PRIVATE)
    run_until(2, config)
    ledger = place / "run" / "ledger.jsonl"
    with Ledger.open(ledger) as opened:
        opened.spend(DiscreteGaussian(Fraction(1), 1, Relation.ZERO_OUT, Unit.CLIENT))
    status, output, _ = command(config, "--resume", "--json")
    figures = json.loads(output)
    assert status == 3
    assert figures["ended"] == "budget exhausted"
    assert "before round 3: the release would bring epsilon to " in figures["detail"]
    assert figures["outcomes"]["released"] == 2
    assert (place / "run" / "model.npz").exists()
    assert audit([ledger]).verdict is Verdict.FINE
    status, output, _ = command(config, "--resume")
    assert status == 3
    assert "Stopped: the budget is exhausted before round 3" in " ".join(output.split())


def run_until(rounds: int, config: Path, *, resume: bool = False) -> None:
    """Runs until so many rounds are over: the study fails when the next one asks it."""
    real = fl.app.run.training.GuardedStudy.contribute

    def contribute(self: Any, client: int, model: Any, number: int, checked: Any) -> Any:
        if number > rounds:
            raise StudyError("contribute", client, number, "stopped by the test")
        return real(self, client, model, number, checked)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fl.app.run.training.GuardedStudy, "contribute", contribute)
        with pytest.raises(StudyError, match="stopped by the test"):
            run(config, resume=resume)


# --- Beginning and resuming ---


@both_modes
def test_a_run_is_begun_once_and_resumed_only_if_asked(place: Path, mode: str):
    config = write(place, MODES[mode])
    status, output, errors = command(config, "--resume")
    assert (status, output) == (4, "")
    assert "there is no run to resume here" in " ".join(errors.split())
    (place / "run").mkdir()
    assert command(config, "--resume")[0] == 4
    # An empty folder is none.
    assert command(config)[0] == 0
    before = content(place / "run")
    status, _, errors = command(config)
    assert status == 4
    assert "it holds a run already: say --resume" in errors
    assert content(place / "run") == before
    # What is finished stays so.
    status, output, _ = command(config, "--resume", "--json")
    assert status == 0
    assert json.loads(output)["outcomes"]["released"] == 3
    assert content(place / "run") == before


def test_a_folder_with_something_else_in_it_is_left_alone(place: Path):
    (place / "run").mkdir()
    (place / "run" / "thesis.txt").write_text("do not touch")
    config = write(place, PLAIN)
    for options in ([], ["--resume"]):
        assert command(config, *options)[0] == 4
    assert content(place / "run") == {"thesis.txt": b"do not touch"}
    config = write(place, PLAIN, ('"a_study:Study"', '"a_study:Study"\nfolder = "a_study.py"'))
    assert command(config)[0] == 4


def test_who_begins_a_run_at_the_same_time_loses(place: Path, monkeypatch: pytest.MonkeyPatch):
    config = write(place, PLAIN)
    real = fl.app.run.training.make_folder

    def late(path: Path, **settings: Any) -> None:
        path.mkdir()
        (path / "checkpoint").write_text("of the other one")
        real(path, **settings)

    monkeypatch.setattr(fl.app.run.training, "make_folder", late)
    with pytest.raises(RunRefusedError, match="another run began here meanwhile"):
        run(config)
    assert content(place / "run") == {"checkpoint": b"of the other one"}
    assert sorted(path.name for path in place.iterdir() if path.suffix != ".py") == [
        *(["__pycache__"] if (place / "__pycache__").exists() else []),
        "config.toml",
        "run",
    ]


@both_modes
def test_two_processes_are_not_at_one_run(place: Path, mode: str):
    config = write(place, MODES[mode])
    run(config)
    before = content(place / "run")
    with RunFolder(place / "run"):
        with pytest.raises(LedgerLockedError, match="another process is at this run"):
            run(config, resume=True)
        assert command(config, "--resume")[0] == 4
    assert content(place / "run") == before
    run(config, resume=True)


def test_settings_that_promise_nothing_may_change(place: Path):
    config = write(place, PRIVATE)
    run_until(1, config)
    changes = [
        ("rounds = 3", 'rounds = 3\noptimizer = {kind = "FedAvg", learning_rate = 0.5}'),
        ("colluders = 0", "colluders = 0\nsimulated_dropout = 0.01"),
    ]
    assert len(run(write(place, PRIVATE, *changes), resume=True).done) == 3


# --- What does not belong together ---


ANOTHER_PLAN = [
    ("epsilon = 20", "epsilon = 21", "noise.target_epsilon", "21/1", "20/1"),
    ("delta = 1e-5", "delta = 1e-6", "noise.delta", None, None),
    ("rounds = 1", "rounds = 2", "noise.rounds", "2", "1"),
    ("max_dropouts = 1", "max_dropouts = 0", "noise.min_survivors", "4", "3"),
    ("clip = 2.0", "clip = 1.0", "clip", "1/1", "2/1"),
    ("clip = 2.0", "clip = 2.0\nmodulus_bits = 20", "noise.modulus_bits", "20", None),
    ("clip = 2.0", "clip = 2.0\nweight_cap = 2", "weight_cap", "2", "1"),
    ('"ward 7"', '"ward 8"', "scope", "ward 8", "ward 7"),
    ("colluders = 0", 'colluders = 0\nadversary = "curious"', "session.adversary", "1", "2"),
    ("rounds = 1", 'rounds = 1\noptimizer = {kind = "FedAvgM"}', "optimizer", "FedAvgM", "FedAvg"),
    ("clip = 2.0", 'clip = 2.0\nledger_key = "new.key"', "ledger key", None, None),
]


@pytest.mark.slow
def test_another_plan_is_refused_and_the_figure_is_named(place: Path):
    text = PRIVATE.replace("rounds = 3", "rounds = 1")
    run(write(place, text))
    (place / "new.key").write_text("0" * 64 + "\n")
    (place / "new.key").chmod(0o600)
    for old, new, what, offered, expected in ANOTHER_PLAN:
        error = refuses(write(place, text, (old, new)), what)
        assert offered is None or error.offered == offered
        assert expected is None or str(error.expected).split(",")[0] == expected


def test_a_plain_run_and_one_with_noise_do_not_continue_each_other(place: Path):
    run(write(place, PLAIN))
    refuses(write(place, PRIVATE), "ledger.jsonl")
    (place / "run" / "ledger.jsonl").write_text("")
    refuses(write(place, PRIVATE), "schema")
    for old, new, what in (("rounds = 3", "rounds = 4", "rounds"), ("clip = 1.0", "clip = 1.5", "clip")):
        refuses(write(place, PLAIN, (old, new)), what)


@both_modes
def test_another_model_or_other_clients_are_refused(place: Path, mode: str):
    config = write(place, MODES[mode])
    run(config)
    for old, new, what in (
        ("np.array([0.5, -1.0], np.float32)", "np.zeros(3, np.float32)", "model (shape of array 'w')"),
        ("np.array([0.5, -1.0], np.float32)", "np.zeros(2)", "model (dtype of array 'w')"),
        ('"n": np.array(7', '"m": np.array(7', "model (arrays)"),
        ("[7, 3, 2**64 - 1, 5]", "[7, 3, 4, 5]", "clients"),
    ):
        change_study(place, (old, new))
        refuses(config, what)


@both_modes
def test_a_checkpoint_that_was_put_back_is_refused(place: Path, mode: str):
    config = write(place, MODES[mode])
    run_until(1, config)
    old = content(place / "run")
    run(config, resume=True)
    new = content(place / "run")
    checkpoint = place / "run" / "checkpoint"
    checkpoint.write_bytes(old["checkpoint"])
    assert refuses(config, "checkpoint").offered == "after round 1, as of a copy that was restored"
    # With its own journal it takes the ledger to see it.
    (place / "run" / "rounds.jsonl").write_bytes(old["rounds.jsonl"])
    if mode == "private":
        assert "where the ledger goes on with rounds [2, 3]" in str(refuses(config, "checkpoint").offered)
        # And with the ledger too, it takes the clients.
        (place / "run" / "ledger.jsonl").write_bytes(old["ledger.jsonl"])
        refuses(config, "ledger")
        # A ledger put back alone misses the checkpoint's head.
        for name in ("checkpoint", "rounds.jsonl"):
            (place / "run" / name).write_bytes(new[name])
        assert refuses(config, "ledger").offered == "one that never had the checkpoint's head"
    # A journal put back alone, or a checkpoint of later.
    for name in ("checkpoint", "ledger.jsonl"):
        if name in new:
            (place / "run" / name).write_bytes(new[name])
    (place / "run" / "rounds.jsonl").write_bytes(old["rounds.jsonl"])
    assert refuses(config, "checkpoint").expected == "after round 1"
    (place / "run" / "rounds.jsonl").write_bytes(new["rounds.jsonl"])
    assert run(config, resume=True).outcomes["released"] == 3


@both_modes
def test_files_of_another_run_are_refused(place: Path, mode: str):
    """Of one with the same plan even, where the heads of the ledgers' headers are the same."""
    text = MODES[mode]
    other = write(place, text, ('"a_study:Study"', '"a_study:Study"\nfolder = "other"'))
    run(other)
    config = write(place, text)
    run(config)
    mine = content(place / "run")
    for name, what in (("checkpoint", "run"), ("rounds.jsonl", "run"), ("ledger.jsonl", "ledger")):
        if name not in mine:
            continue
        (place / "run" / name).write_bytes((place / "other" / name).read_bytes())
        refuses(config, what)
        (place / "run" / name).write_bytes(mine[name])
    if mode == "private":
        for client in ("3", "7"):
            (place / "run" / "counters" / client).write_bytes((place / "other" / "counters" / client).read_bytes())
        assert "client 3" in str(refuses(config, "ledger").offered)


@pytest.mark.parametrize("name", ["plan.json", "rounds.jsonl", "ledger.jsonl"])
def test_a_missing_file_is_refused(place: Path, name: str):
    config = write(place, PRIVATE)
    run(config)
    (place / "run" / name).unlink()
    assert refuses(config, name).offered == "a missing file"


def test_clients_that_forgot_a_released_round_are_refused(place: Path):
    """Whoever can cut the ledger and remove the counters could have a round released twice."""
    config = write(place, PRIVATE)
    run(config)
    for counter in (place / "run" / "counters").iterdir():
        counter.unlink()
    assert "0 that know of round" in str(refuses(config, "counters").offered)


def test_a_damaged_file_is_refused_and_named(place: Path):
    config = write(place, PRIVATE)
    run(config)
    whole = content(place / "run")
    for name, text in {
        "checkpoint": "checkpoint: the checkpoint is damaged or truncated",
        "rounds.jsonl": "rounds.jsonl: line 2 ",
        "ledger.jsonl": "record 2: ",
        "identities/3": "a key is 64 hexadecimal digits",
        "counters/3": "damaged",
    }.items():
        damaged = whole[name].replace(b'"', b"'", 30) if name.endswith("jsonl") else whole[name][:-2] + b"?\n"
        if name.endswith("jsonl"):
            lines = whole[name].splitlines(keepends=True)
            damaged = b"".join([lines[0], lines[1].replace(b'"', b"'", 1), *lines[2:]])
        (place / "run" / name).write_bytes(damaged)
        before = content(place / "run")
        status, _, errors = command(config, "--resume")
        assert status == 4, name
        assert text in " ".join(errors.split()), name
        assert content(place / "run") == before
        (place / "run" / name).write_bytes(whole[name])
    for stored in (b"[1]", b"{", whole["plan.json"] + b" ", b"\xff"):
        (place / "run" / "plan.json").write_bytes(stored)
        refuses(config, "plan.json")
    (place / "run" / "plan.json").write_bytes(whole["plan.json"])
    assert command(config, "--resume")[0] == 0


def test_keys_that_others_may_read_or_that_are_gone_are_refused(place: Path):
    config = write(place, PRIVATE, ("clip = 2.0", 'clip = 2.0\nledger_key = "ledger.key"'))
    run(config)
    for key in (place / "ledger.key", place / "run" / "identities" / "7"):
        key.chmod(0o644)
        with pytest.raises(RunRefusedError, match="chmod 600"):
            run(config, resume=True)
        key.chmod(0o600)
        hidden = key.rename(key.with_suffix(".away"))
        # A missing key is not made anew when a run is resumed.
        with pytest.raises(RunRefusedError, match="the key is not there"):
            run(config, resume=True)
        hidden.rename(key)
    run(config, resume=True)


def test_a_key_that_is_there_signs_a_new_run(place: Path):
    (place / "ledger.key").write_text("ab" * 32 + "\n")
    (place / "ledger.key").chmod(0o600)
    config = write(place, PRIVATE, ("clip = 2.0", 'clip = 2.0\nledger_key = "ledger.key"'))
    from dp.ledger.signing import LedgerKey

    assert run(config).public_key == LedgerKey(b"\xab" * 32).public_key


def test_a_closed_ledger_takes_no_more_rounds(place: Path):
    config = write(place, PRIVATE)
    run_until(1, config)
    with Ledger.open(place / "run" / "ledger.jsonl") as ledger:
        ledger.finish()
    before = content(place / "run")
    with pytest.raises(RunRefusedError, match="it is closed, and takes no more rounds"):
        run(config, resume=True)
    assert content(place / "run") == before


def test_a_ledger_of_another_budget_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch):
    from dataclasses import replace

    config = write(place, PRIVATE)
    real = fl.app.run.training.make_folder

    def richer(path: Path, *, header: Any, **settings: Any) -> None:
        real(path, header=replace(header, budget=header.budget * 2), **settings)

    with monkeypatch.context() as patched:
        patched.setattr(fl.app.run.training, "make_folder", richer)
        with pytest.raises(PlanMismatchError, match=r"ledger \(budget\)"):
            run(config)
    refuses(config, "ledger (budget)")


# --- What is wrong with configuration and code ---


@pytest.mark.parametrize(
    ("text", "changes", "says"),
    [
        (PRIVATE, ("rounds = 3", "rounds = 0"), "training.rounds: Expected int >= 1"),
        (PRIVATE, ("max_dropouts = 1", "max_dropouts = 4"), "session.max_dropouts: "),
        (PRIVATE, ("epsilon = 20", "epsilon = nan"), "privacy.epsilon: "),
        (PRIVATE, ("epsilon = 20", "epsilon = 0"), "privacy.epsilon: "),
        (PRIVATE, ("epsilon = 20", "epsilon = 1e-9"), "privacy"),
        (PRIVATE, ("delta = 1e-5", "delta = inf"), "privacy.delta: "),
        (PRIVATE, ("clip = 2.0", "clip = nan"), "privacy.clip: "),
        (PRIVATE, ("clip = 2.0", "clip = 2.0\nmodulus_bits = 2"), "privacy.modulus_bits: "),
        (PRIVATE, ("clip = 2.0", "clip = 2.0\nbytes_per_parameter = nan"), "privacy"),
        (PRIVATE, ("clip = 2.0", "clip = 2.0\nadaptive = {bit_stddev = inf}"), "privacy"),
        (PRIVATE, ("clip = 2.0", "clip = 2.0\nadaptive = {largest = 1.0}"), "privacy"),
        (PRIVATE, ("clip = 2.0", 'clip = 2.0\nside_values = [{name = "a", low = nan, high = 1}]'), "privacy"),
        (PRIVATE, ("clip = 2.0", 'clip = 2.0\nside_values = [{name = "a", low = 1, high = 1}]'), "privacy"),
        (PLAIN, ("clip = 1.0", "clip = nan"), "plain.clip: "),
        (PLAIN, ("clip = 1.0", "clip = 1.0\nmodulus_bits = 2"), "plain: the sum of 4 clients"),
        (PLAIN, ("max_dropouts = 1", "max_dropouts = 2"), "session.max_dropouts: "),
        (PLAIN, ('"a_study:Study"', '"a_study:Stduy"'), "the study's entry 'a_study:Stduy': AttributeError"),
    ],
)
def test_what_cannot_be_used_is_status_2_and_nothing_is_begun(
    place: Path, text: str, changes: tuple[str, str], says: str
):
    status, output, errors = command(write(place, text, changes))
    assert (status, output) == (2, "")
    assert says in " ".join(errors.split())
    assert not (place / "run").exists()
    assert not list(place.glob(".run*"))


def test_a_missing_file_is_status_2(tmp_path: Path):
    status, _, errors = command(tmp_path / "nothing.toml")
    assert status == 2
    assert "nothing.toml: it cannot be read: No such file" in errors
    assert command()[0] == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return [7, 3, 2**64 - 1, 5]", "return [7, 3, 5, 5]"),
        ("return [7, 3, 2**64 - 1, 5]", "return [1, 2, 3]"),
        ("np.array([0.5, -1.0], np.float32)", "np.array([0.5, np.nan])"),
        ("np.array([0.5, -1.0], np.float32)", "missing"),
    ],
)
def test_a_study_without_clients_or_model_is_status_2(place: Path, old: str, new: str):
    change_study(place, (old, new))
    assert command(write(place, PLAIN))[0] == 2
    assert not (place / "run").exists()


FAILING = {
    "an exception": ("1 / 0", "ZeroDivisionError: division by zero"),
    "NaN": ('return Contribution({"w": np.array([np.nan, 1]), "n": np.array(1.0)})', "array 'w': it holds NaN"),
    "another shape": (
        'return Contribution({"w": np.zeros(3), "n": np.array(1.0)})',
        "shape of array 'w': offered (3,)",
    ),
    "another dtype": (
        'return Contribution({"w": np.zeros(2, np.float32), "n": np.array(1.0)})',
        "dtype of array 'w': offered float32, expected float64",
    ),
    "another array": ('return Contribution({"w": np.zeros(2)})', "missing ['n']"),
    "no contribution": ("return None", "it returned a NoneType, not a Contribution"),
    "no update": ("return Contribution()", "update: none is given"),
    "examples": ("return Contribution(examples=[])", "update: none is given, or examples are"),
    "a negative weight": ('return Contribution({"w": np.zeros(2), "n": np.array(1.0)}, -1)', "weight: no int in the"),
    "a weight above the cap": (
        'return Contribution({"w": np.zeros(2), "n": np.array(1.0)}, 2)',
        "weight: no int in the",
    ),
    "a fractional weight": ('return Contribution({"w": np.zeros(2), "n": np.array(1.0)}, 0.5)', "weight: no int"),
    "a side value": ('return Contribution({"w": np.zeros(2), "n": np.array(1.0)}, 1, {"a": 1})', "side_values: "),
}


@pytest.mark.parametrize(
    ("mode", "failure"),
    [
        *(("plain", failure) for failure in FAILING),
        *(
            ("private", failure)
            for failure in ("NaN", "another shape", "no update", "a fractional weight", "a side value")
        ),
    ],
)
def test_a_failing_client_is_named_and_costs_nothing(place: Path, mode: str, failure: str):
    code, says = FAILING[failure]
    config = write(place, MODES[mode], ("rounds = 3", "rounds = 2"))
    change_study(
        place,
        ("        # On the grid", f"        if client == 5 and round_number == 2:\n            {code}\n        # On"),
    )
    status, _, errors = command(config)
    assert status == 1
    text = " ".join(errors.split())
    assert "secagg run: the study's contribute for client 5 in round 2: " in text
    assert says in text
    # The traceback of the user's own code is there, and none of ours.
    assert ("a_study.py" in text) is (failure == "an exception")
    change_study(place)
    report = run(config, resume=True)
    assert report.outcomes == {"released": 2, "too few clients": 0, "no mean": 0, "lost": 0}


EXAMPLES_WRONG = {
    "an update": ('return Contribution({"w": np.zeros(2), "n": np.array(1.0)})', "examples: none are given, or an up"),
    "a weight": ("return Contribution(examples=[], weight=2)", "weight: given with examples"),
    "too many": ("return Contribution(examples=np.zeros((3, 3)))", "examples: there are too many"),
    "another dtype": ("return Contribution(examples=np.zeros((2, 3), int))", "examples: int64 (2, 3)"),
    "another shape": ("return Contribution(examples=np.zeros((2, 4)))", "examples: float64 (2, 4)"),
    "NaN": ("return Contribution(examples=np.full((2, 3), np.inf))", "examples: NaN or infinity"),
    "other arrays": ('return Contribution(examples=[{"w": np.zeros(2)}])', "missing ['n']"),
    "no sequence": ("return Contribution(examples=5)", "TypeError"),
}


@pytest.mark.parametrize("failure", list(EXAMPLES_WRONG))
def test_wrong_examples_are_refused_with_their_client(place: Path, failure: str):
    code, says = EXAMPLES_WRONG[failure]
    change_study(place, ("        # On the grid", f"        {code}\n        # On the grid"))
    extra = '\nunit = "example"\nexamples_per_client = 2\ndenominator = 4'
    with pytest.raises(StudyError, match="for client 3 in round 1") as caught:
        run(write(place, PRIVATE, ("clip = 2.0", "clip = 2.0" + extra)))
    assert says in caught.value.problem


def test_a_side_value_out_of_its_range_is_named(place: Path):
    config = write(place, PRIVATE, ("clip = 2.0", 'clip = 2.0\nside_values = [{name = "loss", low = 0, high = 5}]'))
    for value, says in (
        ("6", "side value loss: out of its declared range"),
        ("np.nan", "out of its"),
        ("'a'", "a str"),
    ):
        change_study(place, ('"n": np.array(1.0)})', f'"n": np.array(1.0)}}, 1, {{"loss": {value}}})'))
        status, _, errors = command(config, *(["--resume"] if (place / "run").exists() else []))
        assert status == 1
        assert says in " ".join(errors.split())


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


# --- Whole processes ---


def process(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    script = "import sys; sys.argv[0] = 'secagg'; from fl.app.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, "run", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_the_example_runs_and_learns(tmp_path: Path):
    """Smaller than it is, and with so little noise that the model has to get better.

    Ten runs came to 0.83 to 0.92, with a standard deviation of 0.03: below 0.5 is one in more than 10**12.
    """
    for name in ("digits_study.py", "digits.toml"):
        (tmp_path / name).write_text((EXAMPLES / name).read_text(encoding="utf-8"), encoding="utf-8")
    text = (tmp_path / "digits.toml").read_text()
    for old, new in (
        ("clients = 50", "clients = 12"),
        ("rounds = 12", "rounds = 3"),
        ("max_dropouts = 10 ", "max_dropouts = 4 "),
        ("colluders = 3 ", "colluders = 0 "),
        ("epsilon = 8", "epsilon = 40"),
        ("delta = 1e-5", "delta = 1e-2"),
        ("clip = 0.5", "clip = 2.0"),
        ("simulated_dropout = 0.05", "simulated_dropout = 0"),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "digits.toml").write_text(text)
    done = process("digits.toml", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["metrics"]["accuracy"] > 0.5
    assert figures["outcomes"]["released"] == 3
    records = [decode(line, 1)[0] for line in (tmp_path / "digits-run" / "ledger.jsonl").read_bytes().splitlines(True)]
    assert [one.round for one in records if isinstance(one, Reserve)] == [1, 2, 3]


def test_errors_are_typed(place: Path):
    """What a caller of the function, not of the command, can tell apart."""
    with pytest.raises(RunConfigError):
        run(write(place, PLAIN, ("clip = 1.0", "clip = 0.0")))
    with pytest.raises(RunRefusedError):
        run(write(place, PLAIN), resume=True)
