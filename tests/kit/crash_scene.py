"""Runs that are killed wherever something becomes durable: how they are killed, and what must hold after that.

A process is killed with SIGKILL right before one of its calls of fsync or rename, so that every state that a kill can
leave on the disk is met. The killed process is a fork, which spares it the imports.
"""

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dp.ledger.audit import Verdict, audit
from dp.ledger.file import read_lines
from dp.ledger.records import Close, Reserve, Settle, decode
from fl.app.run.checkpoint import Checkpoint
from fl.app.run.config import read_config
from fl.app.run.journal import Journal
from fl.app.run.plan import plan_run
from fl.app.run.result import RunResult
from fl.arrays.schema import ArraySchema
from secagg.errors import ClientId
from secagg.protocol.messages import AdvertiseKeys
from secagg.protocol.wire import decode as decode_message
from secagg.server.session import ServerSession
from tests.kit.run_scene import MODES, content, run, write

__all__ = [
    "TEXTS",
    "Durable",
    "check",
    "die",
    "durable_calls",
    "finished",
    "is_counters",
    "keys",
    "killed",
    "planned",
    "points",
    "remove",
    "state",
]


TEXTS = {"plain": MODES["plain"], "private": MODES["private"].replace("rounds = 3", "rounds = 2")}


class Durable:
    """The calls that make something durable, by name: fsync and rename. Something may happen before one of them."""

    def __init__(self, at: int | None = None, happens: Callable[[], None] | None = None) -> None:
        self.seen: list[str] = []
        self.at = at
        self.happens = happens
        self.replace = os.replace

    def patch(self, set_attribute: Callable[[Any, str, Any], None]) -> "Durable":
        set_attribute(os, "fsync", self.fsync)
        set_attribute(os, "replace", self.rename)
        return self

    def called(self, name: str) -> None:
        self.seen.append(name)
        if len(self.seen) == self.at and self.happens is not None:
            self.happens()

    def fsync(self, descriptor: int) -> None:
        # A kill takes nothing from the system's cache, so nobody has to wait for the disk.
        link = f"/proc/self/fd/{descriptor}"
        self.called(Path(os.readlink(link)).name if os.path.lexists(link) else "a file")  # noqa: PTH115 - no path

    def rename(self, source: Any, target: Any, **_: Any) -> None:
        self.called(f"rename {Path(target).name}")
        self.replace(source, target)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def planned(config: Path) -> None:
    """Makes the plan in this process, so that no fork has to."""
    plan_run(read_config(config), ArraySchema.of({"w": np.zeros(2), "n": np.array(0.0)}), 4)


def killed(config: Path, at: int, *, resume: bool) -> bool:
    """Runs in another process, which is killed before its at-th durable call; returns whether it came so far."""
    child = os.fork()
    if child == 0:
        try:
            Durable(at, die).patch(setattr)
            run(config, resume=resume)
            os._exit(0)
        except BaseException:  # noqa: BLE001 - nothing of pytest may run in the child
            traceback.print_exc()
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert status == 0 or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL), status
    return status != 0


@pytest.fixture
def keys(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file to which the server of every session, in every process, appends the public keys that it gets."""
    real, path = ServerSession.receive, place / "keys"
    path.touch()

    def receive(self: ServerSession, sender: ClientId, data: bytes) -> None:
        if self.stage == "advertise_keys":
            message = decode_message(data, sender, self.params, session_id=self.session_id)
            assert isinstance(message, AdvertiseKeys)
            with path.open("ab", buffering=0) as file:
                file.write(message.seal_key + message.mask_key)
        real(self, sender, data)

    monkeypatch.setattr(ServerSession, "receive", receive)
    return path


def durable_calls(place: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What an uninterrupted run makes durable, in order."""
    with monkeypatch.context() as patched:
        durable = Durable().patch(patched.setattr)
        run(write(place, text, ('"a_study:Study"', '"a_study:Study"\nfolder = "uninterrupted"')))
    return durable.seen


def points(calls: list[str], every: int) -> list[int]:
    """Every call but those of the clients' counters and identities, which are many of a kind, and some of these."""
    files = ("3", "5", "7", str(2**64 - 1))
    kind = [name.removeprefix("rename ").removesuffix(".new") in (*files, "counters") for name in calls]
    return [at for at, of_a_client in enumerate(kind, 1) if not of_a_client or at % every == 0]


def finished(config: Path, before: dict[str, bytes] | None) -> RunResult:
    """Goes on to the end, and holds against what was on the disk before."""
    report = run(config, resume=before is not None)
    after = content(config.parent / "run")
    for name, data in (before or {}).items():
        if name.startswith("identities/") or name == "plan.json":
            assert after[name] == data
        if name.endswith(".jsonl"):
            assert after[name].startswith(data[: data.rfind(b"\n") + 1]), "a line was lost"
    return report


def check(config: Path, report: RunResult, kills: int, keys: Path) -> None:
    """Whatever happened, the run's files agree, and nothing was done twice."""
    folder = config.parent / "run"
    rounds = list(range(1, report.plan.rounds + 1))
    journal, checkpoint = Journal(folder / "rounds.jsonl"), Checkpoint.load(folder / "checkpoint")
    outcomes = {one.record.round: one.record.outcome for one in journal.done}
    assert list(outcomes) == rounds
    assert checkpoint.round_number == journal.begun == rounds[-1]
    assert set(outcomes.values()) <= {"released", "lost"}
    assert list(outcomes.values()).count("lost") <= kills
    assert [one.metrics.keys() == {"first"} for one in journal.done] == [
        outcome == "released" for outcome in outcomes.values()
    ]
    # Two keys of 32 bytes a client and session, and no key twice.
    sent = keys.read_bytes()
    each = [sent[start : start + 32] for start in range(0, len(sent), 32)]
    assert len(set(each)) == len(each) >= 2 * 4 * list(outcomes.values()).count("released")
    with np.load(folder / "model.npz", allow_pickle=False) as model:
        for name, array in Checkpoint.load(folder / "checkpoint").model.items():  # type: ignore[union-attr]
            np.testing.assert_array_equal(model[name], array, strict=True)
    released = [number for number in rounds if outcomes[number] == "released"]
    if report.ledger is None:
        check_plain_model(config, checkpoint, released)
    else:
        check_ledger(report, outcomes)


def check_plain_model(config: Path, checkpoint: Checkpoint, released: list[int]) -> None:
    """The model is, bit for bit, that of an uninterrupted run that had the released rounds only."""
    model = {"w": np.array([0.5, -1.0], np.float32), "n": np.array(7, np.int16)}
    assert ArraySchema.of(model) == checkpoint.schema
    for number in released:
        signs = [[1.0 if (c // 2 + number) % 3 else -1.0, 1.0 if c % 4 == 3 else -1.0] for c in (3, 5, 7, 2**64 - 1)]
        # A mean of four signs is a multiple of 1/2, and sums of these are exact.
        model["w"] = model["w"] + np.mean(signs, 0).astype(np.float32)
        model["n"] = model["n"] + np.int16(1)
    for name, array in model.items():
        np.testing.assert_array_equal(checkpoint.model[name], array, strict=True)  # type: ignore[call-overload]


def check_ledger(report: RunResult, outcomes: dict[int, str]) -> None:
    assert report.ledger is not None
    found = audit([report.ledger], expected_head=report.head)
    assert found.verdict is Verdict.FINE
    assert found.total.promised == report.epsilon <= 20
    records = [decode(line, place)[0] for place, line in enumerate(read_lines(report.ledger), 1)]
    assert isinstance(records[-1], Close)
    reserves = [one for one in records if isinstance(one, Reserve)]
    settled = [one.round for one in records if isinstance(one, Settle)]
    assert len({one.session for one in reserves}) == len({one.roster for one in reserves}) == len(reserves)
    reserved = [one.round for one in reserves]
    assert reserved == sorted(set(reserved))
    for one in report.done:
        number, outcome = one.record.round, one.record.outcome
        if outcome == "released":
            assert number in reserved
            assert number in settled
        else:
            assert (number in reserved) is ("it was reserved, and counts in full" in one.record.detail)
            assert (number in reserved) is not ("it was not reserved, and cost nothing" in one.record.detail)
    assert set(reserved) <= set(outcomes)


def state(place: Path) -> dict[str, bytes] | None:
    return content(place / "run") if (place / "run").exists() else None


def is_counters(name: str) -> bool:
    return name == "counters" or name.removeprefix("rename ").removesuffix(".new") in {"5", "7", str(2**64 - 1)}


def remove(path: Path) -> None:
    for inner in sorted(path.rglob("*"), reverse=True):
        inner.rmdir() if inner.is_dir() else inner.unlink()
    if path.exists():
        path.rmdir()
