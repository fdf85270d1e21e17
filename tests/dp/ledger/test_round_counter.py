"""A client's own memory of its rounds."""

import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dp.errors import InvalidParameterError
from dp.ledger.errors import LedgerLockedError, LedgerRefusedError, RoundRefusedError
from dp.ledger.records import NO_HEAD
from dp.ledger.round_counter import RoundCounter
from dp.ledger.writer import Ledger
from tests.kit.counter_scene import SCOPE, WIDE
from tests.kit.counter_scene import CounterScene as Scene
from tests.kit.ledger_scene import KEY, a_round, lines_of, rechained


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_rounds_in_order_are_accepted_and_remembered(scene: Scene):
    assert (scene.counter.last_round, scene.counter.head) == (0, None)
    for number in (1, 2, 5):
        scene.whole_round(number)
        again = RoundCounter(scene.file, SCOPE, rounds=9)
        assert again.last_round == scene.counter.last_round == number
        assert again.head == scene.counter.head
    scene.ledger.sign_head()
    assert scene.counter.accept(9, scene.news()) == scene.ledger.head


def refuses(scene: Scene, rule: str, number: int, lines: Any, **options: Any) -> RoundRefusedError:
    before = scene.file.read_bytes() if scene.file.exists() else None
    with pytest.raises(RoundRefusedError) as refused:
        scene.counter.accept(number, lines, **options)
    assert refused.value.rule == rule
    assert (scene.file.read_bytes() if scene.file.exists() else None) == before
    return refused.value


def test_no_round_beyond_the_plan(scene: Scene):
    refuses(scene, "rounds", 10, scene.news())
    scene.whole_round(9)
    refuses(scene, "rounds", 10, scene.news())


def test_no_round_twice_and_none_before_the_last(scene: Scene):
    scene.whole_round(3)
    for number in (1, 2, 3):
        refuses(scene, "round", number, scene.news())
    # Even one that was accepted and came to nothing.
    scene.counter.accept(4, scene.news())
    refuses(scene, "round", 4, scene.news())


def test_no_other_scope(scene: Scene, tmp_path: Path):
    refuses(scene, "scope", 1, scene.news(), scope="another")
    Ledger.create(tmp_path / "other", replace(WIDE, scope="another")).close()
    refuses(scene, "scope", 1, lines_of(tmp_path / "other"))
    refuses(scene, "scope", 1, lines_of(tmp_path / "other"), scope=SCOPE)
    scene.counter.accept(1, scene.news(), scope=SCOPE)


def test_no_fresh_ledger(scene: Scene, tmp_path: Path):
    scene.whole_round(1)
    Ledger.create(tmp_path / "fresh", WIDE, KEY).close()
    refuses(scene, "extension", 2, lines_of(tmp_path / "fresh"))


def test_no_ledger_without_its_beginning_on_the_first_round(scene: Scene):
    scene.ledger.reserve(a_round(1))
    refuses(scene, "extension", 2, scene.news()[1:])
    refuses(scene, "extension", 2, ())


def test_no_ledger_that_forgot_a_record(scene: Scene):
    scene.whole_round(1)
    scene.ledger.reserve(a_round(2))
    scene.ledger.settle(2, 70)
    lines = scene.news()
    for left_out in range(len(lines) - 1):
        refuses(scene, "extension", 3, lines[:left_out] + lines[left_out + 1 :])
    refuses(scene, "extension", 3, tuple(reversed(lines)))
    refuses(scene, "extension", 3, (*lines, lines[-1]))
    # Leaving out the last lines shows an older head: nothing of this client's is missing there.
    assert scene.counter.accept(3, lines[:-1]) != scene.ledger.head


def test_no_ledger_that_was_rewritten(scene: Scene):
    scene.whole_round(1)
    lines = lines_of(scene.path)
    rewritten = rechained([lines[0], *[line.replace(b'"invited":100', b'"invited":99') for line in lines[1:]]])
    refuses(scene, "extension", 2, rewritten.splitlines(keepends=True)[-1:])
    refuses(scene, "extension", 2, rewritten.splitlines(keepends=True))


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"{}\n", b'{"kind":"settle"}\n', b"\xff\n", b"x" * 10**6],
)
def test_lines_that_are_no_records_are_refused_as_such(scene: Scene, line: bytes):
    refuses(scene, "extension", 1, [line])
    scene.whole_round(1)
    refuses(scene, "extension", 2, [*scene.news(), line])


def test_no_round_that_the_ledger_has_already(scene: Scene):
    scene.ledger.reserve(a_round(3))
    refuses(scene, "round", 3, scene.news())
    refuses(scene, "round", 2, scene.news())
    scene.counter.accept(4, scene.news())


@pytest.mark.parametrize("number", [0, -1, 1.0, True, None])
def test_a_round_number_is_a_positive_integer(scene: Scene, number: Any):
    with pytest.raises(InvalidParameterError, match="round_number"):
        scene.counter.accept(number, scene.news())


def test_unmasking_waits_for_the_reserve(scene: Scene):
    scene.counter.accept(1, scene.news())
    with pytest.raises(RoundRefusedError, match="a reserve of round 1"):
        scene.counter.witness(scene.news())
    scene.ledger.reserve(a_round(1))
    with pytest.raises(RoundRefusedError, match="context"):
        scene.counter.witness(scene.news(), context=bytes(32))
    assert scene.counter.witness(scene.news(), context=a_round(1).context).min_survivors == 70
    # Once: the lines are used up, and so is the round.
    with pytest.raises(RoundRefusedError, match="witnessed once"):
        scene.counter.witness(())


def test_no_reserve_of_another_round_will_do(scene: Scene):
    with pytest.raises(RoundRefusedError, match="one that was accepted"):
        scene.counter.witness(scene.news())
    scene.counter.accept(1, scene.news())
    scene.ledger.reserve(a_round(2))
    with pytest.raises(RoundRefusedError, match="a reserve of round 1"):
        scene.counter.witness(scene.news())


def test_a_witnessed_round_cannot_be_left_out_later(scene: Scene, tmp_path: Path):
    scene.whole_round(1)
    with Ledger.create(tmp_path / "without", WIDE, KEY) as other:
        other.reserve(a_round(2))
    refuses(scene, "extension", 3, lines_of(tmp_path / "without"))


def test_a_continued_ledger_extends_the_one_before(scene: Scene, tmp_path: Path):
    scene.whole_round(1)
    scene.ledger.finish()
    rest = scene.news()
    with Ledger.create(tmp_path / "next", WIDE, KEY, predecessors=[scene.path]) as continued:
        assert scene.counter.accept(2, (*rest, *continued.lines_since(NO_HEAD))) == continued.head
        continued.reserve(a_round(2))
        scene.counter.witness(continued.lines_since(scene.counter.head or b""))


def test_the_round_is_on_the_disk_before_the_call_returns(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    events: list[str] = []
    sync, rename = os.fsync, Path.replace

    def syncing(descriptor: int) -> None:
        events.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        sync(descriptor)

    def renaming(path: Path, target: Path) -> Path:
        assert json.loads(path.read_bytes())["last_round"] == 1
        events.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "replace", renaming)
    scene.counter.accept(1, scene.news())
    assert events == ["sync file", "rename", "sync folder"]


def test_a_failed_write_leaves_the_counter_as_it_was(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    scene.whole_round(1)
    before = scene.file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(OSError, match="Input/output"):
            scene.counter.accept(2, scene.news())
    assert scene.file.read_bytes() == before
    scene.whole_round(2)


def test_two_processes_do_not_count_at_once(scene: Scene):
    other = RoundCounter(scene.file, scene.counter._scope, scene.counter._rounds)
    with other._exclusively(), pytest.raises(LedgerLockedError):
        scene.counter.accept(1, scene.news())
    scene.counter.accept(1, scene.news())


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b"[" * 10**5, b"\xff", b'{"version":1}'],
)
def test_a_damaged_counter_is_refused_and_not_started_again(scene: Scene, content: bytes):
    scene.whole_round(1)
    scene.file.write_bytes(content)
    with pytest.raises(LedgerRefusedError, match="counter"):
        RoundCounter(scene.file, SCOPE, rounds=9)
    with pytest.raises(LedgerRefusedError, match="counter"):
        scene.counter.accept(2, scene.news())


@pytest.mark.parametrize(
    ("name", "value"),
    [("version", 2), ("last_round", -1), ("last_round", "1"), ("head", "ab"), ("scope", 'a"'), ("rounds", 0)],
)
def test_a_counter_with_impossible_fields_is_refused(scene: Scene, name: str, value: Any):
    scene.whole_round(1)
    scene.file.write_text(json.dumps(json.loads(scene.file.read_text()) | {name: value}))
    with pytest.raises(LedgerRefusedError, match="damaged"):
        RoundCounter(scene.file, SCOPE, rounds=9)


def test_a_counter_is_for_one_scope_and_plan(scene: Scene):
    scene.whole_round(1)
    with pytest.raises(LedgerRefusedError, match="scope"):
        RoundCounter(scene.file, "another", rounds=9)
    with pytest.raises(LedgerRefusedError, match="rounds 9, not 10"):
        RoundCounter(scene.file, SCOPE, rounds=10)
    with pytest.raises(InvalidParameterError, match="rounds"):
        RoundCounter(scene.file, SCOPE, rounds=0)
    with pytest.raises(InvalidParameterError, match="scope"):
        RoundCounter(scene.file, "", rounds=9)
