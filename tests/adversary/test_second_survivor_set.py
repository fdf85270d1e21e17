"""A server asks one client about two survivor sets: the client fixes one in a session, ever."""

import pytest

from secagg.errors import InconsistentServerError, StateSpentError, UnexpectedMessageError
from tests.kit.attack_scene import ACTIVE, HONEST_BUT_CURIOUS, SPARE, VICTIM, Scene, without


def test_a_client_that_signed_one_set_does_not_sign_another():
    scene = Scene(ACTIVE).until("consistency")
    first = scene.deliver(VICTIM)
    assert scene.deliver(VICTIM) == first
    error = scene.refused(VICTIM, scene.survivor_set(VICTIM, without(scene.ids, SPARE)), UnexpectedMessageError)
    assert (error.received, error.expected) == ("SurvivorSet", "UnmaskingRequest")
    scene.assert_exact(scene.finish())


def test_a_client_that_answered_for_one_set_does_not_answer_for_another():
    scene = Scene(HONEST_BUT_CURIOUS).until("unmask")
    first = scene.deliver(VICTIM)
    other = scene.survivor_set(VICTIM, without(scene.ids, SPARE))
    with pytest.raises(StateSpentError):
        scene.deliver(VICTIM, other)
    assert scene.deliver(VICTIM) == first


def test_after_a_refused_set_the_genuine_one_is_refused_too():
    scene = Scene(ACTIVE).until("consistency")
    scene.refused(VICTIM, scene.survivor_set(VICTIM, without(scene.ids, VICTIM)), InconsistentServerError)
    with pytest.raises(StateSpentError):
        scene.deliver(VICTIM)
