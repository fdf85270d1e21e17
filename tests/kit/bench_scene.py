"""What tests of `secagg bench` have in common: figures, one step in place of all, and the command."""

import pytest
from typer.testing import CliRunner

import fl.app.bench.bench
from fl.app.bench.bench import Figure
from fl.app.commands import app

FIGURES = {"mask_one_thread": 7.0, "mask_chacha20": 4.0, "thread_gain": 1.7, "free_part": 1.0}


def run(*options: str) -> tuple[int, str, str]:
    outcome = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["bench", *options])
    return outcome.exit_code, outcome.stdout, outcome.stderr


def only(monkeypatch: pytest.MonkeyPatch, *, right: bool) -> None:
    def step(_):
        for name, value in FIGURES.items():
            yield Figure(name, f"the {name}", value, "x", right, limit=10.0)

    monkeypatch.setattr(fl.app.bench.bench, "STEPS", (("one step", step),))
