"""fl.app.commands: the commands are all there, and only they and what they show need typer and rich."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import fl.app
from fl.app.commands import app

SCREENS = {"command", "view", "commands", "options"}


def test_every_command_is_listed_with_what_it_does():
    outcome = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, ["--help"])
    assert outcome.exit_code == 0
    for name, does in (
        ("version", "Prints the version"),
        ("demo", "Trains on handwritten digits"),
        ("run", "Trains your own model"),
        ("params", "Chooses neighbours and threshold"),
        ("bench", "Measures this machine"),
        ("audit", "Recomputes what a privacy ledger says"),
    ):
        assert any(name in line.split()[:2] and does in line for line in outcome.output.splitlines()), name


@pytest.mark.slow
def test_what_is_no_screen_is_imported_without_typer_and_rich():
    root = Path(fl.app.__file__).parent
    modules = sorted(
        ".".join(("fl.app", *path.relative_to(root).with_suffix("").parts))
        for path in root.rglob("*.py")
        if path.stem not in SCREENS | {"__init__"}
    )
    assert "fl.app.run.training" in modules
    script = (
        "import importlib, sys\n"
        "sys.modules['typer'] = sys.modules['rich'] = None\n"
        f"for name in {modules!r}:\n    importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
