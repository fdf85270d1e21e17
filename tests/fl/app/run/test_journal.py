"""fl.app.run.journal: every round is begun once and over once; a torn line is nothing, any other damage is refused."""

import errno
import json
import os
from pathlib import Path

import pytest

from fl.app.run.journal import Journal, RoundRecord
from secagg.errors import InvalidStateError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Journal.create(tmp_path / "rounds", bytes(16), plan_digest=bytes(32), clients=(3, 2**64 - 1))
    return tmp_path / "rounds"


def record(number: int) -> RoundRecord:
    return RoundRecord(round=number, outcome="released", invited=4, survivors=4, clip=1.0)


def test_rounds_follow_each_other(path: Path):
    journal = Journal(path)
    assert (journal.begun, journal.finished, journal.started.clients) == (0, 0, (3, 2**64 - 1))
    for number in (1, 2):
        journal.begin(number)
        again = Journal(path)
        assert (again.begun, again.finished) == (number, number - 1)
        journal.finish(record(number), {"loss": None, "accuracy": 0.5})
    journal.begin(3)
    again = Journal(path)
    assert (again.begun, again.finished) == (3, 2)
    assert again.done == journal.done
    assert [line["event"] for line in map(json.loads, path.read_text().splitlines())] == [
        *("run", "begun", "done", "begun", "done", "begun")
    ]


def test_no_round_is_begun_twice_left_out_or_finished_before_it_began(path: Path):
    journal = Journal(path)
    for number in (0, 2):
        with pytest.raises(InvalidStateError, match="does not follow round 0"):
            journal.begin(number)
    with pytest.raises(InvalidStateError, match="not the one that was begun"):
        journal.finish(record(1), {})
    journal.begin(1)
    for number in (1, 2):
        with pytest.raises(InvalidStateError, match=f"round {number} does not follow round 1"):
            journal.begin(number)
    with pytest.raises(InvalidStateError, match="not the one that was begun"):
        journal.finish(record(2), {})
    journal.finish(record(1), {})
    with pytest.raises(InvalidStateError):
        journal.finish(record(1), {})
    assert Journal(path).finished == 1


def test_a_line_that_a_crash_tore_is_replaced_by_the_next(path: Path):
    journal = Journal(path)
    journal.begin(1)
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for left in (*(last[:length] for length in range(1, len(last))), b"longer than what comes next" * 99):
        path.write_bytes(whole[: -len(last)] + left)
        torn = Journal(path)
        assert torn.begun == 0
        assert path.read_bytes().endswith(left)
        torn.begin(1)
        assert Journal(path).begun == 1
        assert path.read_bytes().count(b"\n") == 2
        assert path.read_bytes().endswith(b"}\n")


def test_an_unfinished_write_is_an_error_and_then_a_torn_line(path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    journal = Journal(path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space"):
            journal.begin(1)
    # Whether it is there shows when it is read again; this object's next attempt writes over it.
    journal.begin(1)
    assert Journal(path).begun == 1


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda lines: lines[1:], 1),
        (lambda lines: [lines[0], *lines], 2),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [*lines[:2], *lines[3:]], 3),
        (lambda lines: [*lines[:3], *lines[1:]], 4),
        (lambda lines: [*lines[:2], lines[2], lines[2], *lines[3:]], 4),
        (lambda lines: [lines[0], b'{"event":"begun","round":1,"at":"now","more":1}\n'], 2),
        (lambda lines: [lines[0], b'{"event":"begun","round": 1,"at":"now"}\n'], 2),
        (lambda lines: [lines[0], b'{"event":"ended","at":"now"}\n'], 2),
        (lambda lines: [lines[0], b"\xff\n"], 2),
        (lambda lines: [lines[0].replace(b'"version":2', b'"version":3'), *lines[1:]], 1),
    ],
)
def test_any_other_damage_is_refused_and_the_line_is_named(path: Path, damage: object, line: int):
    journal = Journal(path)
    for number in (1, 2):
        journal.begin(number)
        journal.finish(record(number), {})
    damaged = damage(path.read_bytes().splitlines(keepends=True))  # type: ignore[operator]
    path.write_bytes(b"".join(damaged))
    with pytest.raises(InvalidStateError, match=f"line {line} "):
        Journal(path)


def test_an_empty_file_is_no_journal_and_none_is_overwritten(path: Path):
    with pytest.raises(FileExistsError):
        Journal.create(path, bytes(16), plan_digest=bytes(32), clients=())
    path.write_bytes(b"{")
    with pytest.raises(InvalidStateError, match="no first line"):
        Journal(path)
