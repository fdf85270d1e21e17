"""What tests of `secagg run` have in common: a study in a file, a configuration beside it, and how both are changed."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import fl.app.run.plan
from fl.app.commands import app
from fl.app.run.config import read_config
from fl.app.run.guarded_study import GuardedStudy
from fl.app.run.result import RunResult
from fl.app.run.training import Watcher, run_study
from fl.errors import PlanMismatchError
from fl.study import StudyError
from tests.kit.planned_once import planned_once

STUDY = """
import numpy as np
from fl.private import Contribution

class Study:
    def clients(self):
        return [7, 3, 2**64 - 1, 5]

    def initial_model(self):
        return {"w": np.array([0.5, -1.0], np.float32), "n": np.array(7, np.int16)}

    def contribute(self, client, model, round_number):
        # On the grid of a plain run's words, so that its mean is exact; and another one in every round.
        signs = [1.0 if (client // 2 + round_number) % 3 else -1.0, 1.0 if client % 4 == 3 else -1.0]
        return Contribution({"w": np.array(signs), "n": np.array(1.0)})

    def evaluate(self, model):
        return {"first": model["w"][0]}
"""

HEAD = """
[study]
entry = "a_study:Study"
averaged = ["n", "m"]

[training]
rounds = 3

[session]
max_dropouts = 1
colluders = 0
"""
PLAIN = HEAD + "[plain]\nclip = 1.0\n"
PRIVATE = HEAD + '[privacy]\nscope = "ward 7"\nepsilon = 20\ndelta = 1e-5\nclip = 2.0\n'
SIGNED = PRIVATE.replace("clip = 2.0", 'clip = 2.0\nledger_key = "ledger.key"')
MODES = {"plain": PLAIN, "private": PRIVATE}
both_modes = pytest.mark.parametrize("mode", list(MODES))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the study in it; nothing of it stays in this process, and no test waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(fl.app.run.plan, "make_plan", planned_once)
    monkeypatch.delitem(sys.modules, "a_study", raising=False)
    (tmp_path / "a_study.py").write_text(STUDY)
    return tmp_path


def write(place: Path, text: str, *changes: tuple[str, str]) -> Path:
    """Writes the configuration, with some lines changed; each must be there."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (place / "config.toml").write_text(text)
    return place / "config.toml"


def change_study(place: Path, *changes: tuple[str, str]) -> None:
    text = STUDY
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (place / "a_study.py").write_text(text)


def run(config: Path, *, resume: bool = False, watcher: Watcher | None = None) -> RunResult:
    return run_study(read_config(config), resume=resume, watcher=watcher)


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


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


def run_until(rounds: int, config: Path, *, resume: bool = False) -> None:
    """Runs until `rounds` rounds are over: the study fails when the next one asks it."""
    real = GuardedStudy.contribute

    def contribute(self: Any, client: int, model: Any, number: int, checked: Any) -> Any:
        if number > rounds:
            raise StudyError("contribute", client, number, "stopped by the test")
        return real(self, client, model, number, checked)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(GuardedStudy, "contribute", contribute)
        with pytest.raises(StudyError, match="stopped by the test"):
            run(config, resume=resume)
