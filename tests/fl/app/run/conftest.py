"""What tests of `secagg run` share: a folder with a study in it, and finished runs that are made once and copied."""

import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import fl.app.run.plan
from tests.kit.planned_once import planned_once
from tests.kit.run_scene import STUDY, place, run, write

__all__ = ["finish", "finished", "place"]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the folder of a configuration whose run is over."""

    @functools.cache
    def folder(text: str) -> Path:
        made = tmp_path_factory.mktemp("finished")
        (made / "a_study.py").write_text(STUDY)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(os, "fsync", lambda _: None)
            patched.setattr(fl.app.run.plan, "make_plan", planned_once)
            run(write(made, text))
        return made

    return folder


@pytest.fixture
def finish(place: Path, finished: Callable[[str], Path]) -> Callable[[str], Path]:
    """Puts a finished run into the test's folder, with its key file if it has one; returns its configuration."""

    def put(text: str) -> Path:
        shutil.copytree(finished(text), place, dirs_exist_ok=True)
        return place / "config.toml"

    return put
