"""`secagg bench`: a table or JSON, and 1 if a result was wrong."""

import json

import pytest

from tests.kit.bench_scene import only, run


@pytest.mark.slow
def test_quick_figures_come_as_json_and_every_result_is_right():
    code, output, _ = run("--quick", "--json")
    assert code == 0
    report = json.loads(output)
    assert list(report) == ["right", "figures", "advice"]
    assert report["right"] is True
    assert {"cipher_limit", "mask_one_thread", "mask_two_threads", "pack", "shamir_rebuild", "x25519", "hkdf"} < set(
        report["figures"]
    )
    assert {"session_active", "session_curious"} < set(report["figures"])
    for name, figure in report["figures"].items():
        assert figure["value"] > 0, name
        assert figure["right"] is True, name
    assert 0 < report["figures"]["mask_one_thread"]["part_of_limit"] < 1.5
    assert len(report["advice"]) >= 2


def test_a_wrong_result_is_an_error_and_no_figure(monkeypatch: pytest.MonkeyPatch):
    only(monkeypatch, right=False)
    code, output, _ = run()
    assert code == 1
    assert "WRONG RESULTS: the mask_one_thread" in output
    assert "7.00 x" not in output
    assert run("--json")[0] == 1
