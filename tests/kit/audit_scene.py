"""What tests of `secagg audit` have in common."""

import hashlib
from fractions import Fraction
from pathlib import Path

from typer.testing import CliRunner

from dp.ledger.records import Header
from dp.vocabulary import Relation, Unit
from fl.app.commands import app
from tests.kit.ledger_scene import lines_of

CENTRAL = Header(
    scope="training",
    unit=Unit.EXAMPLE,
    relation=Relation.ADD_REMOVE,
    delta=Fraction(1, 10**5),
    budget=Fraction(1),
)


def run(*options: object) -> tuple[int, str]:
    outcome = CliRunner(env={"COLUMNS": "80", "TERM": "dumb"}).invoke(app, ["audit", *map(str, options)])
    return outcome.exit_code, outcome.output


def head_of(path: Path) -> str:
    return hashlib.sha256(lines_of(path)[-1]).hexdigest()
