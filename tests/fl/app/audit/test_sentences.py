"""What an audit found, in sentences."""

from pathlib import Path

from dp.ledger.writer import Ledger
from tests.kit.audit_scene import run
from tests.kit.ledger_scene import KEY, a_ledger, a_round


def test_what_a_chain_does_not_show_is_said(tmp_path: Path):
    a_ledger(tmp_path / "unsigned", rounds=1, key=None)
    code, output = run(tmp_path / "unsigned")
    assert code == 0
    assert "The ledger is not signed" in output
    assert "only a head from elsewhere shows: --expect-head" in output
    a_ledger(tmp_path / "signed", rounds=1)
    with Ledger.open(tmp_path / "signed", KEY) as ledger:
        ledger.reserve(a_round(2))
        ledger.settle(2, 90)
    assert "The 2 records at the end are covered by no signature." in run(tmp_path / "signed")[1]
    with Ledger.open(tmp_path / "signed", KEY) as ledger:
        ledger.finish()
    output = run(tmp_path / "signed", "--expect-key", KEY.public_key.hex())[1]
    assert "--expect" not in output
    assert "covered by no signature" not in output


def test_a_torn_tail_is_said_and_no_fault(path: Path):
    path.write_bytes(path.read_bytes() + b'{"kind"')
    code, output = run(path)
    assert code == 0
    assert "7 bytes of an unfinished record are at the end" in output
