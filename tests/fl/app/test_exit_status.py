"""fl.app.exit_status: one table for all commands, in code and in words."""

import re
from pathlib import Path

from dp.ledger import Verdict
from fl.app.audit.command import EXIT_STATUS
from fl.app.exit_status import ExitStatus

PAGE = Path(__file__).parents[3] / "docs" / "exit-status.md"


def test_the_page_has_every_status_and_no_other():
    rows = re.findall(r"^\| (\d+) \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [int(row) for row in rows] == sorted(ExitStatus)


def test_the_page_has_every_verdict_with_its_status():
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    said = {name: int(status) for name, status in re.findall(r"\*([a-z ]+)\* \((\d)", text)}
    assert said == {verdict.value: int(EXIT_STATUS[verdict]) for verdict in Verdict}
