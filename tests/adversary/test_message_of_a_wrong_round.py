"""A well-formed message of this session at the wrong time: a server's is final, a client's is refused and forgotten."""

import pytest

from secagg.errors import UnexpectedMessageError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import ACTIVE, EXCHANGES, LIAR, VICTIM, Scene, both_models

SESSION = bytes(range(16))
EXPECTED = {
    "share_keys": "KeyRoster",
    "masked_input": "ShareDelivery",
    "consistency": "SurvivorSet",
    "unmask": "UnmaskingRequest",
}


def every_message(model: AdversaryModel) -> dict[str, bytes]:
    """One genuine message of each type but Abort, of a session with the same id."""
    scene = Scene(model, session_id=SESSION)
    found = []
    while True:
        replies = scene.answers()
        found += [scene.outbound[VICTIM], replies[VICTIM]]
        scene.upload(replies)
        if scene.close() is not None:
            return {type(scene.read(data)).__name__: data for data in found}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "stage"), [pair for pair in EXCHANGES if pair[1] in EXPECTED])
def test_a_client_refuses_every_other_message_for_good(model: AdversaryModel, stage: str):
    expected = EXPECTED[stage] if model is ACTIVE or stage != "unmask" else "SurvivorSet"
    for name, data in every_message(model).items():
        # These two have the same bytes in both sessions, and were accepted before: repeated, they are harmless.
        if name in {expected, "Invitation"} or (name, stage) == ("SurvivorSet", "unmask"):
            continue
        scene = Scene(model, session_id=SESSION).until(stage)
        error = scene.refused(VICTIM, data, UnexpectedMessageError)
        assert (error.received, error.expected) == (name, expected)


@both_models
def test_before_the_invitation_everything_else_is_stray(model: AdversaryModel):
    scene = Scene(model, session_id=SESSION)
    for name, data in every_message(model).items():
        if name != "Invitation":
            scene.strayed(VICTIM, data)
    scene.assert_exact(scene.finish())


@both_models
def test_the_server_refuses_every_other_message_and_names_nobody(model: AdversaryModel):
    messages = every_message(model)
    scene = Scene(model, session_id=SESSION)
    while True:
        replies = scene.answers()
        expected = type(scene.read(replies[LIAR])).__name__
        for name, data in messages.items():
            if name != expected:
                with pytest.raises(UnexpectedMessageError) as raised:
                    scene.server.receive(LIAR, data)
                assert raised.value.culprit == LIAR
                assert (raised.value.received, raised.value.expected) == (name, expected)
        scene.upload(replies)
        result = scene.close()
        if result is not None:
            break
    scene.assert_exact(result)
    assert not result.culprits


@both_models
def test_an_invitation_to_another_session_does_not_begin_a_second_one(model: AdversaryModel):
    scene, other = Scene(model).until("share_keys"), Scene(model)
    scene.strayed(VICTIM, other.outbound[VICTIM])
    scene.assert_exact(scene.finish())
