"""The README's programs run as printed and print what it says."""

import re
from pathlib import Path

import pytest

from tests.kit.printed_programs import BLOCK, check_programs

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.slow
def test_every_program_prints_what_the_readme_says(tmp_path: Path) -> None:
    check_programs(README, tmp_path, at_least=3)


def test_the_first_program_is_short() -> None:
    first = next(BLOCK.finditer(README.read_text(encoding="utf-8")))["code"]
    assert len([line for line in first.splitlines() if line.strip()]) <= 12


def test_the_readme_names_only_options_that_exist() -> None:
    from typer.testing import CliRunner

    from fl.app.commands import app

    shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["demo", "--help"]).output
    line = next(line for line in README.read_text(encoding="utf-8").splitlines() if "demo --help` lists" in line)
    options = re.findall(r"--[a-z-]+", line.split("lists")[1])
    assert options
    assert all(option in shown for option in options)
