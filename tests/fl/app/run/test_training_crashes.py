"""Runs that are killed, or whose disk refuses, wherever something becomes durable: nothing is lost or done twice."""

import errno
import os
import signal
from pathlib import Path

import pytest

from tests.kit.crash_scene import (
    TEXTS,
    Durable,
    check,
    die,
    durable_calls,
    finished,
    is_counters,
    keys,
    killed,
    planned,
    points,
    remove,
    state,
)
from tests.kit.run_scene import MODES, both_modes, run, write

__all__ = ["keys"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="runs need a system with flock"),
    # A later Python warns of a fork while other threads are there; the child starts none and leaves by _exit.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


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


@both_modes
def test_a_run_that_is_killed_again_and_again_comes_to_its_end(place: Path, mode: str, keys: Path):
    """Most lives end while they make up for the end of the one before."""
    config = write(place, MODES[mode], ("rounds = 3", "rounds = 5"))
    planned(config)
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
