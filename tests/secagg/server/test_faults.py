"""What is noted about a client that broke a rule."""

from secagg.server.faults import DISPUTED, Fault, disputed
from secagg.stages import Stage


def test_a_dispute_says_how_many_peers_report_and_accuses_nobody():
    fault = disputed(Stage.MASKED_INPUT, reports=2, peers=8)
    assert (fault.stage, fault.error) == (Stage.MASKED_INPUT, DISPUTED)
    assert "2 of 8 peers" in fault.detail
    assert "or they do" in fault.detail


def test_a_fault_does_not_change():
    assert Fault(Stage.UNMASK, "InvalidShareError", "x") == Fault(Stage.UNMASK, "InvalidShareError", "x")
    assert Fault.__struct_config__.frozen
