"""The parameter engine at the command line."""

import json

import pytest
from typer.testing import CliRunner

from fl.commands import app


def run(*options: str) -> tuple[int, str]:
    outcome = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["params", *options])
    return outcome.exit_code, outcome.output


def test_a_choice_is_printed_with_its_bounds() -> None:
    code, output = run("--clients", "1000")
    assert code == 0
    assert "52 neighbours, threshold 28" in output
    assert all(name in output for name in ("connected", "private", "alive"))


def test_the_same_choice_as_plain_data() -> None:
    code, output = run("--clients", "1000", "--active", "--json")
    figures = json.loads(output)
    assert code == 0
    assert figures["holds"] is True
    assert figures["adversary"] == "ACTIVE"
    assert {bound["name"] for bound in figures["bounds"]} == {"uncuttable", "private", "alive"}
    assert all(bound["holds"] for bound in figures["bounds"])


@pytest.mark.parametrize(
    "options",
    [
        ("--clients", "2"),
        ("--clients", "100", "--corrupt", "1"),
        ("--clients", "100", "--corrupt", "0.4", "--dropout", "0.4", "--active"),
    ],
)
def test_what_cannot_be_exits_with_2_and_says_what_could(options: tuple[str, ...]) -> None:
    code, output = run(*options)
    assert code == 2
    assert "it must be" in output
