"""A host restores a client's snapshot twice, and the server asks each copy something else.

The rule "save, then send" leaves nothing to ask twice. A host that breaks it makes its client one of the corrupt ones
that the threshold allows for.
"""

import pytest

from secagg.client.session import ClientSession
from secagg.errors import StateSpentError, UnexpectedMessageError
from secagg.params import AdversaryModel
from secagg.server.session import ServerSession
from tests.adversary.test_split_view import TARGET, split
from tests.kit.attack_scene import ACTIVE, SPARE, VICTIM, Scene, both_models, without


def revived(scene: Scene, snapshot: bytes, client: int = VICTIM) -> ClientSession:
    identity = scene.identities[client] if scene.params.active else None
    return ClientSession.from_bytes(snapshot, identity=identity)


def test_a_copy_saved_before_the_signature_was_sent_signs_no_other_set():
    scene = Scene(ACTIVE).until("consistency")
    first = scene.deliver(VICTIM)
    snapshot = scene.clients[VICTIM].to_bytes()
    other = scene.survivor_set(VICTIM, without(scene.ids, SPARE))
    for _ in range(2):
        copy = revived(scene, snapshot)
        assert copy.receive(scene.outbound[VICTIM]) == first
        with pytest.raises(UnexpectedMessageError):
            copy.receive(other)
        assert copy.over
        with pytest.raises(StateSpentError):
            copy.receive(other)
    scene.assert_exact(scene.finish())


@both_models
def test_a_copy_saved_before_the_answer_was_sent_gives_no_other(model: AdversaryModel):
    scene = Scene(model).until("unmask")
    answer = scene.deliver(VICTIM)
    copy = revived(scene, scene.clients[VICTIM].to_bytes())
    assert copy.receive(scene.outbound[VICTIM]) == answer
    with pytest.raises(StateSpentError):
        copy.receive(scene.survivor_set(VICTIM, without(scene.ids, SPARE)))


def test_copies_of_a_client_that_has_signed_have_the_same_answer_only():
    scene = Scene(ACTIVE).until("unmask")
    snapshot = scene.clients[VICTIM].to_bytes()
    answers = {revived(scene, snapshot).receive(scene.outbound[VICTIM]) for _ in range(3)}
    assert answers == {scene.deliver(VICTIM)}


@both_models
def test_copies_of_a_client_that_masks_the_same_vector_send_the_same_bytes(model: AdversaryModel):
    # Two different vectors under the same masks would give away their difference.
    scene = Scene(model).until("masked_input")
    snapshot = scene.clients[VICTIM].to_bytes()
    sent = {
        revived(scene, snapshot).receive(
            scene.outbound[VICTIM], vector=scene.vectors[VICTIM], model_digest=scene.models[VICTIM]
        )
        for _ in range(3)
    }
    assert sent == {scene.deliver(VICTIM)}


@pytest.mark.slow
def test_a_client_restored_from_before_its_signature_is_one_corrupt_client_and_no_more():
    scene = Scene(ACTIVE).until("consistency")
    snapshot = scene.clients[VICTIM].to_bytes()
    views = [scene.survivor_set(VICTIM, view) for view in (scene.ids, without(scene.ids, TARGET))]
    signatures = {revived(scene, snapshot).receive(view) for view in views}
    assert len(signatures) == 2, "the danger is real"

    honest = without(scene.ids, TARGET, VICTIM)
    for size in range(len(honest) + 1):
        surviving, dropped = [TARGET, *honest[:size]], honest[size:]
        answers = split(Scene(ACTIVE), [VICTIM], surviving, dropped)
        assert not (set(answers) & set(surviving) and set(answers) & set(dropped))


@both_models
def test_a_server_restored_after_the_survivors_are_known_sends_the_same_set_again(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    late = scene.answers()
    scene.upload({client: reply for client, reply in late.items() if client != SPARE})
    scene.close()
    published = dict(scene.outbound)
    scene.server = ServerSession.from_bytes(scene.server.to_bytes())
    assert dict(scene.server.outbound) == published
    with pytest.raises(UnexpectedMessageError):
        scene.server.receive(SPARE, late[SPARE])
    assert dict(scene.server.outbound) == published
    scene.assert_exact(scene.finish(), missing={SPARE})
