"""What all of the server's stages do: take one message of each client, note its first fault, make messages late."""

import pytest

from secagg import MalformedMessageError, StateSpentError, UnexpectedMessageError
from secagg.protocol.messages import Abort, AbortCode
from secagg.server import Outbound
from tests.kit.sessions import A, Live, make_params, models, stages_of


def test_outbound_messages_are_made_when_they_are_looked_at():
    made = []

    def make(client: int) -> str:
        made.append(client)
        return f"to {client}"

    outbound = Outbound((9, 3, 5), make)
    assert (list(outbound), len(outbound)) == ([9, 3, 5], 3)
    assert not made
    assert outbound[3] == "to 3"
    assert made == [3]
    with pytest.raises(KeyError):
        outbound[4]
    assert made == [3]
    assert 9 in outbound
    assert 4 not in outbound
    assert dict(outbound) == {9: "to 9", 3: "to 3", 5: "to 5"}


@models
def test_each_stage_names_what_it_expects_and_takes_it_once(adversary):
    live = Live(make_params(adversary))
    seen = []
    while live.result is None:
        stage = live.server._current
        seen.append(stage.stage)
        with pytest.raises(UnexpectedMessageError) as caught:
            stage.receive(A, Abort(AbortCode.LEAVING))
        assert caught.value.expected == stage.expects.__name__
        live.collect()
        assert stage.received == stage.awaited
        assert repr(stage) == f"<{type(stage).__name__}, 5 of 5 received>"
        assert not stage.faults
        live.close()
        assert stage.closed
        with pytest.raises(StateSpentError):
            stage.close()
    assert seen == list(stages_of(adversary))


@models
def test_a_clients_first_fault_is_kept_and_a_strangers_is_not(adversary):
    live = Live(make_params(adversary))
    stage = live.server._current
    for sender, reason in ((A, "first"), (A, "second"), (12345, "a stranger's")):
        stage.note_fault(sender, MalformedMessageError(sender, reason))
    assert set(stage.faults) == {A}
    fault = stage.faults[A]
    assert (fault.stage, fault.error) == ("advertise_keys", "MalformedMessageError")
    assert "first" in fault.detail
    live.collect()
    live.close()
    assert live.server._current.faults == {A: fault}, "later stages keep it"
