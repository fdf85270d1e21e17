"""The folder of a run: made as a whole, used by one process, and never made of something else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fl.app.run.opening
import fl.app.run.training
from dp.errors import FileLockedError
from fl.app.run.errors import RunRefusedError
from fl.app.run.folder import RunFolder
from tests.kit.run_scene import MODES, PLAIN, both_modes, command, content, run, write


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
    real = fl.app.run.opening.make_folder

    def late(path: Path, **settings: Any) -> None:
        path.mkdir()
        (path / "checkpoint").write_text("of the other one")
        real(path, **settings)

    monkeypatch.setattr(fl.app.run.opening, "make_folder", late)
    with pytest.raises(RunRefusedError, match="another run began here meanwhile"):
        run(config)
    assert content(place / "run") == {"checkpoint": b"of the other one"}
    assert sorted(path.name for path in place.iterdir() if path.suffix != ".py") == [
        *(["__pycache__"] if (place / "__pycache__").exists() else []),
        "config.toml",
        "run",
    ]


@both_modes
def test_two_processes_are_not_at_one_run(place: Path, mode: str, finish: Callable[[str], Path]):
    config = finish(MODES[mode])
    before = content(place / "run")
    with RunFolder(place / "run"):
        with pytest.raises(FileLockedError, match="another process is at this run"):
            run(config, resume=True)
        assert command(config, "--resume")[0] == 4
    assert content(place / "run") == before
    run(config, resume=True)
