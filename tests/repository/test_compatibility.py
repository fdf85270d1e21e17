"""docs/compatibility.md says the versions that the code has."""

from pathlib import Path

from dp.ledger import records, round_counter
from fl.app.run import checkpoint, journal
from fl.private import plan_json, snapshots
from secagg.protocol import labels, snapshot

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"


def test_the_table_has_the_versions_of_the_code():
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    said = {row[0]: row[1] for row in rows if row[1].isdigit()}
    assert said == {
        "messages of a session": str(labels.WIRE_VERSION),
        "snapshots of sessions and rounds": str(snapshots.VERSION),
        "private plan": plan_json._SCHEMA.removeprefix("private-plan/"),
        "ledger": str(records.SCHEMA_VERSION),
        "checkpoint and journal of `secagg run`": str(checkpoint._VERSION),
        "round counter": str(round_counter._VERSION),
    }
    assert snapshot._VERSION == snapshots.VERSION
    assert journal._VERSION == checkpoint._VERSION
