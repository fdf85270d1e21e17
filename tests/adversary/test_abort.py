"""Somebody ends the session, or pretends to."""

import pytest

from secagg.errors import MalformedMessageError, StateSpentError, TooFewClientsError, UnexpectedMessageError
from secagg.params import AdversaryModel
from secagg.protocol.messages import Abort, AbortCode
from tests.kit.attack_scene import LIAR, SPARE, STRANGER, VICTIM, Scene, both_models


@both_models
@pytest.mark.parametrize("stage", ["share_keys", "masked_input", "unmask"])
def test_a_client_that_is_told_to_stop_drops_its_secrets_and_answers_nothing(model: AdversaryModel, stage: str):
    scene = Scene(model).until(stage)
    session, secrets = scene.clients[VICTIM], scene.secrets(VICTIM)
    assert secrets
    assert scene.deliver(VICTIM, scene.server.abort_message(AbortCode.TOO_FEW_CLIENTS)) is None
    assert (session.over, session.phase, session.aborted) == (True, "over", AbortCode.TOO_FEW_CLIENTS)
    with pytest.raises(StateSpentError):
        scene.deliver(VICTIM)
    left = session.to_bytes()
    assert not [secret for secret in secrets if secret in left]


@both_models
def test_a_stranger_cannot_abort_for_anybody(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    with pytest.raises(UnexpectedMessageError) as raised:
        scene.server.receive(STRANGER, scene.write(Abort(AbortCode.LEAVING)))
    assert (raised.value.culprit, raised.value.received) == (STRANGER, "Abort")
    assert not scene.server.aborted
    assert not scene.server.faults
    scene.assert_exact(scene.finish())


@both_models
def test_a_client_that_dropped_out_cannot_abort_later(model: AdversaryModel):
    scene = Scene(model).until("masked_input").until_survivors(silent={SPARE})
    with pytest.raises(UnexpectedMessageError):
        scene.server.receive(SPARE, scene.write(Abort(AbortCode.LEAVING)))
    assert not scene.server.aborted
    scene.assert_exact(scene.finish(), missing={SPARE})


@both_models
def test_a_client_that_leaves_is_noted_and_the_session_goes_on(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    secrets = scene.secrets(LIAR)
    farewell = scene.clients[LIAR].leave()
    assert not [secret for secret in secrets if secret in scene.clients[LIAR].to_bytes()]
    scene.server.receive(LIAR, farewell)
    assert scene.server.aborted == {LIAR: AbortCode.LEAVING}
    result = scene.finish()
    scene.assert_exact(result, missing={LIAR})
    assert not result.culprits


@both_models
def test_an_abort_without_a_known_code_is_garbage(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    genuine = scene.server.abort_message()
    for code in (b"\x00", b"\x05", b"\x7f", b"\xff", b"\xc0"):
        scene.ignored(VICTIM, genuine[:-1] + code)
        with pytest.raises(MalformedMessageError):
            scene.server.receive(LIAR, genuine[:-1] + code)
    assert not scene.server.aborted
    scene.assert_exact(scene.finish())


@both_models
def test_clients_that_all_leave_end_the_session_without_a_sum(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    for client in scene.clients:
        scene.server.receive(client, scene.clients[client].leave(AbortCode.PROTOCOL))
    assert not scene.server.can_close
    with pytest.raises(TooFewClientsError):
        scene.close()
