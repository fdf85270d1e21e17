"""Runs that are killed wherever something becomes durable, and resumed: nothing is lost, and nothing comes twice.

A process is killed with SIGKILL right before one of its calls of fsync or rename, so that every state that a kill can
leave on the disk is met. The killed process is a fork, which spares it the imports.
"""

import errno
import os
import signal
import subprocess
import sys
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
from secagg.protocol.messages import decode as decode_message
from secagg.server.session import ServerSession
from tests.kit.run_scene import MODES, both_modes, content, place, run, write

__all__ = ["place"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="runs need a system with flock"),
    # A later Python warns of a fork while other threads are there; the child starts none and leaves by _exit.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

REPOSITORY = Path(__file__).parents[4]
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
            message = decode_message(data, sender, self.params, self.session_id)
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


@both_modes
def test_a_kill_at_any_point_costs_one_round_at_most(
    place: Path, mode: str, keys: Path, monkeypatch: pytest.MonkeyPatch
):
    calls = durable_calls(place, TEXTS[mode], monkeypatch)
    config = write(place, TEXTS[mode])
    lost = set()
    chosen = points(calls, every=9)
    for at in chosen:
        keys.write_bytes(b"")
        assert killed(config, at, resume=False), calls[at - 1]
        report = finished(config, state(place))
        check(config, report, 1, keys)
        if report.outcomes["lost"]:
            lost.add(calls[at - 1])
        for path in (place / "run", *place.glob(".run.*")):
            remove(path)
    # A kill costs a round between the journal's line and the checkpoint's name, and nowhere else.
    expected = {"rounds.jsonl", "checkpoint.new", "rename checkpoint"}
    if mode == "private":
        expected |= {"ledger.jsonl"} | {
            name for name in map(calls.__getitem__, (at - 1 for at in chosen)) if is_counters(name)
        }
    assert lost == expected


def is_counters(name: str) -> bool:
    return name == "counters" or name.removeprefix("rename ").removesuffix(".new") in {"5", "7", str(2**64 - 1)}


def remove(path: Path) -> None:
    for inner in sorted(path.rglob("*"), reverse=True):
        inner.rmdir() if inner.is_dir() else inner.unlink()
    if path.exists():
        path.rmdir()


@both_modes
def test_a_run_that_is_killed_again_and_again_comes_to_its_end(place: Path, mode: str, keys: Path):
    """Most lives end while they make up for the end of the one before."""
    config = write(place, MODES[mode], ("rounds = 3", "rounds = 5"))
    # The folder is there, and the first round was begun.
    at = 1
    while killed(config, at, resume=False) and not (place / "run").exists():
        at += 1
    kills, before = 1, state(place)
    for life in range(40):
        if not killed(config, 1 + life % 7, resume=True):
            break
        kills += 1
        after = state(place)
        assert before is not None
        assert after is not None
        for name in before:
            if name.endswith(".jsonl"):
                assert after[name].startswith(before[name][: before[name].rfind(b"\n") + 1])
        before = after
    assert kills > 10
    check(config, finished(config, before), kills, keys)


@both_modes
def test_a_disk_that_refuses_at_any_point_stops_the_run_and_it_can_be_resumed(
    place: Path, mode: str, keys: Path, monkeypatch: pytest.MonkeyPatch
):
    calls = durable_calls(place, TEXTS[mode], monkeypatch)
    config = write(place, TEXTS[mode])

    def refuse() -> None:
        raise OSError(errno.ENOSPC, "no space left")

    for at in points(calls, every=25):
        keys.write_bytes(b"")
        with monkeypatch.context() as patched:
            Durable(at, refuse).patch(patched.setattr)
            with pytest.raises(Exception, match="no space left") as caught:
                run(config)
        # With the very rename of a new run's folder it is said in the words of who may have been there first.
        assert isinstance(caught.value, OSError) or calls[at - 1] == "rename uninterrupted"
        assert not list(place.glob(".run.*"))
        check(config, finished(config, state(place)), 1, keys)
        remove(place / "run")


def test_a_torn_record_is_moved_away_and_told(place: Path, keys: Path):
    """Killed in the middle of a write to the ledger."""
    from fl.app.run.training import Watcher

    config = write(place, TEXTS["private"])
    real, child = os.write, os.fork()
    if child == 0:

        def half(descriptor: int, data: bytes) -> int:
            if b'"kind":"settle"' in data:
                real(descriptor, data[:20])
                die()
            return real(descriptor, data)

        os.write = half
        run(config)
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    notes: list[str] = []

    class Noting(Watcher):
        def note(self, text: str) -> None:
            notes.append(text)

    report = run(config, resume=True, watcher=Noting())
    check(config, report, 1, keys)
    assert [one.record.outcome for one in report.done] == ["lost", "released"]
    assert notes == [f"a crash left 20 bytes of a record, now in {place / 'run' / 'ledger.jsonl.torn'}"]
    assert len((place / "run" / "ledger.jsonl.torn").read_bytes()) == 21


def test_the_plan_of_the_scene_is_the_one_that_is_made_anew(place: Path):
    """The tests above make each plan once; it is the same when it is made again."""
    from fl.private.planning import make_plan
    from tests.kit.run_scene import planned_once

    config = read_config(write(place, TEXTS["private"]))
    schema = ArraySchema.of({"w": np.zeros(2), "n": np.array(0.0)})
    cached = plan_run(config, schema, 4)
    import fl.app.run.plan

    fl.app.run.plan.make_plan = make_plan
    try:
        assert plan_run(config, schema, 4) == cached
    finally:
        fl.app.run.plan.make_plan = planned_once


STUDY_THAT_DIES = """
import os, signal

class Study(Inner):
    def contribute(self, client, model, round_number):
        if os.environ.get("DIE") == f"contribute {round_number}" and client == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().contribute(client, model, round_number)

    def evaluate(self, model):
        if os.environ.get("DIE") == "evaluate":
            os._exit(77)
        return super().evaluate(model)
"""


def test_the_command_itself_is_killed_and_resumed(place: Path):
    """Real processes: killed while a client trains, then while the model is evaluated."""
    study = (place / "a_study.py").read_text().replace("class Study:", "class Inner:")
    (place / "a_study.py").write_text(study + STUDY_THAT_DIES)
    config = write(place, TEXTS["private"])
    statuses = []
    for dies, options in (("contribute 2", []), ("evaluate", ["--resume"]), ("", ["--resume", "--json"])):
        script = "import sys; sys.argv[0] = 'secagg'; from fl.app.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script, "run", str(config), *options],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "DIE": dies},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        statuses.append(done.returncode)
    assert statuses == [-signal.SIGKILL, 77, 0], done.stderr
    # Neither took a round: contributions come before a round begins, and the evaluation after it is in the checkpoint.
    assert '"outcomes": {"released": 2, "too few clients": 0, "no mean": 0, "lost": 0}' in done.stdout
    assert audit([place / "run" / "ledger.jsonl"]).verdict is Verdict.FINE
