"""What tests of the demo have in common: a small one, its command, and rounds from which nobody vanishes."""

from collections.abc import Mapping

from typer.testing import CliRunner

from fl.app.commands import app
from secagg import Stage

__all__ = ["NOBODY", "SMALL", "run"]


SMALL = ["demo", "--clients", "9", "--rounds", "3", "--alpha", "5"]
NOBODY: Mapping[str, frozenset[int]] = dict.fromkeys(Stage, frozenset())


def run(*options: object) -> tuple[int, str]:
    outcome = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, [str(option) for option in options])
    return outcome.exit_code, outcome.output
