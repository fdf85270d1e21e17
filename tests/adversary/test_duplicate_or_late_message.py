"""A client sends twice, or after its round is over: the first counts, the rest is refused and forgotten."""

import pytest

from secagg.errors import StateSpentError, UnexpectedMessageError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import EXCHANGES, LIAR, SPARE, Scene, both_models


@both_models
def test_a_second_message_is_refused_and_the_first_stays(model: AdversaryModel):
    scene, other = (Scene(model, session_id=bytes(16)) for _ in range(2))
    while True:
        replies, others = scene.answers(), other.answers()
        scene.upload(replies)
        name = type(scene.read(replies[LIAR])).__name__
        for second in (replies[LIAR], others[LIAR]):
            with pytest.raises(UnexpectedMessageError) as raised:
                scene.server.receive(LIAR, second)
            error = raised.value
            assert (error.culprit, error.received, error.expected) == (LIAR, f"a second {name}", "one from each client")
        assert scene.server.received == frozenset(scene.ids)
        other.upload(others)
        other.close()
        result = scene.close()
        if result is not None:
            break
    scene.assert_exact(result)
    assert not result.culprits


@pytest.mark.parametrize(("model", "stage"), [pair for pair in EXCHANGES if pair[1] != "unmask"])
def test_a_late_message_is_refused_and_changes_nothing(model: AdversaryModel, stage: str):
    scene = Scene(model).until(stage)
    replies = scene.answers()
    late = replies.pop(SPARE)
    scene.upload(replies)
    scene.close()
    with pytest.raises(UnexpectedMessageError) as raised:
        scene.server.receive(SPARE, late)
    assert raised.value.received == type(scene.read(late)).__name__
    result = scene.finish()
    scene.assert_exact(result, missing=set() if stage == "consistency" else {SPARE})
    assert not result.culprits


@both_models
def test_after_the_end_the_server_takes_nothing(model: AdversaryModel):
    scene = Scene(model).until("unmask")
    replies = scene.answers()
    late = replies.pop(SPARE)
    scene.upload(replies)
    scene.assert_exact(scene.close())
    with pytest.raises(StateSpentError):
        scene.server.receive(SPARE, late)
    with pytest.raises(StateSpentError):
        scene.close()


@both_models
def test_a_client_that_was_dropped_cannot_come_back(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    replies = scene.answers()
    absent = replies.pop(SPARE)
    scene.upload(replies)
    scene.close()
    replies = scene.answers()
    forged = replies[LIAR]
    with pytest.raises(UnexpectedMessageError) as raised:
        scene.server.receive(SPARE, forged)
    assert raised.value.expected == "a client that is awaited at masked_input"
    with pytest.raises(UnexpectedMessageError):
        scene.server.receive(SPARE, absent)
    scene.upload(replies)
    scene.close()
    scene.assert_exact(scene.finish(), missing={SPARE})
