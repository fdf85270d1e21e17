"""What `secagg bench` shows."""

import pytest

from tests.kit.bench_scene import only, run


def test_a_table_and_advice_are_printed(monkeypatch: pytest.MonkeyPatch):
    only(monkeypatch, right=True)
    code, output, progress = run()
    assert code == 0
    assert "the mask_one_thread" in output
    assert "0.70" in output
    assert "Threads pay" in output
    assert "WRONG" not in output
    assert "one step" in progress or "done" in progress
