"""Rounds with noise: ledger, signatures, and sums without a mean."""

from pathlib import Path

import pytest

from dp.ledger.audit import audit
from tests.kit.run_scene import PRIVATE, SIGNED, command, run, run_until, write


def test_a_ledger_is_signed_after_every_round(place: Path):
    config = write(place, SIGNED)
    for rounds in (1, 2):
        run_until(rounds, config, resume=rounds > 1)
        file = audit([place / "run" / "ledger.jsonl"]).files[0]
        assert (file.signed, file.records, file.closed) == (1 + 3 * rounds, 1 + 3 * rounds, False)


def test_noisy_weights_of_nothing_have_no_mean(place: Path, monkeypatch: pytest.MonkeyPatch):
    from fl.private.private_sum import PrivateSum

    monkeypatch.setattr(PrivateSum, "denominator", property(lambda self: -1.0))
    report = run(write(place, PRIVATE, ("clip = 2.0", "clip = 2.0\nweight_cap = 5")))
    assert report.outcomes["no mean"] == 3
    assert report.metrics == {}
    status, output, _ = command(place / "config.toml", "--resume")
    assert status == 1
    assert "NO ROUND RELEASED A MEAN" in output
