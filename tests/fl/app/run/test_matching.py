"""Files that do not belong to each other, or to the plan, are refused, and nothing is changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fl.app.run.opening
import fl.app.run.training
from dp.ledger.writer import Ledger
from fl.app.run.errors import RunRefusedError
from fl.errors import PlanMismatchError
from fl.private import PrivatePlan
from tests.kit.run_scene import (
    MODES,
    PRIVATE,
    both_modes,
    change_study,
    content,
    refuses,
    run,
    run_until,
    write,
)


@both_modes
def test_another_model_or_other_clients_are_refused(place: Path, mode: str, finish: Callable[[str], Path]):
    config = finish(MODES[mode])
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
def test_files_of_another_run_are_refused(place: Path, mode: str, finish: Callable[[str], Path]):
    """Of one with the same plan even, where the heads of the ledgers' headers are the same."""
    text = MODES[mode]
    other = write(place, text, ('"a_study:Study"', '"a_study:Study"\nfolder = "other"'))
    run(other)
    config = finish(text)
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
def test_a_missing_file_is_refused(place: Path, name: str, finish: Callable[[str], Path]):
    config = finish(PRIVATE)
    (place / "run" / name).unlink()
    assert refuses(config, name).offered == "a missing file"


def test_clients_that_forgot_a_released_round_are_refused(place: Path, finish: Callable[[str], Path]):
    """If the ledger could be cut and the counters removed, a round could be released twice."""
    config = finish(PRIVATE)
    for counter in (place / "run" / "counters").iterdir():
        counter.unlink()
    assert "0 that know of round" in str(refuses(config, "counters").offered)


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
    real = fl.app.run.opening.make_folder

    def richer(path: Path, **settings: Any) -> None:
        header = PrivatePlan.header
        with pytest.MonkeyPatch.context() as only_here:
            only_here.setattr(PrivatePlan, "header", lambda plan: replace(header(plan), budget=header(plan).budget * 2))
            real(path, **settings)

    with monkeypatch.context() as patched:
        patched.setattr(fl.app.run.opening, "make_folder", richer)
        with pytest.raises(PlanMismatchError, match=r"ledger \(budget\)"):
            run(config)
    refuses(config, "ledger (budget)")
