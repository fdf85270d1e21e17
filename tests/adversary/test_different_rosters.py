"""A server shows one client another roster than the rest, with the help of a corrupt client that signs twice."""

import os
from dataclasses import replace

import pytest

from secagg.agreement import KeyPair
from secagg.errors import AuthenticationError, InvalidShareError, PolicyViolationError
from secagg.params import AdversaryModel
from secagg.shamir import SHARE_BYTES
from tests.adversary.scene import ACTIVE, IDS, LIAR, VICTIM, Scene, bitmap, both_models, without


def shown_another_roster(scene: Scene) -> Scene:
    """The victim's roster has other keys of the corrupt client, well signed; all else is as for everybody."""
    scene.until("share_keys")
    entries = {entry.client: entry for entry in scene.roster()}
    second = replace(entries[LIAR], mask_key=KeyPair(os.urandom(32)).public)
    entries[LIAR] = scene.signed(second)
    scene.outbound = {**scene.outbound, VICTIM: scene.roster_message(entries.values())}
    assert scene.exchange() is None
    return scene


def hidden(scene: Scene) -> dict[int, bytes]:
    """A lying server hides from its own checks what the clients report."""
    replies = scene.answers()
    digest = scene.read(replies[LIAR]).task_digest
    return {client: scene.altered(reply, unopened=bytes(2), task_digest=digest) for client, reply in replies.items()}


@both_models
def test_nobody_opens_a_seal_of_a_client_with_another_roster(model: AdversaryModel):
    scene = shown_another_roster(Scene(model))
    reported = {client: scene.read(reply).unopened for client, reply in scene.answers().items()}
    assert reported.pop(VICTIM) == bitmap(without(IDS, VICTIM))
    assert set(reported.values()) == {bitmap([VICTIM])}


@both_models
def test_an_honest_server_names_the_client_whose_context_is_another(model: AdversaryModel):
    scene = shown_another_roster(Scene(model))
    replies = scene.answers()
    scene.accused(VICTIM, replies.pop(VICTIM), AuthenticationError)
    scene.upload(replies)
    # Nobody holds a share of its mask key, so that its pairwise masks cannot be taken off.
    with pytest.raises(InvalidShareError) as raised:
        scene.close()
    assert (raised.value.culprit, raised.value.role) == (VICTIM, "dealer")


def test_the_victim_signs_no_survivor_set_and_the_others_hold_no_share_of_it():
    scene = shown_another_roster(Scene(ACTIVE))
    scene.upload(hidden(scene))
    scene.close()
    # No peer of the victim proved to it that it takes part: for all that it knows it is alone.
    with pytest.raises(PolicyViolationError) as raised:
        scene.deliver(VICTIM)
    assert (raised.value.rule, raised.value.offered) == ("min_survivors", 1)
    assert scene.clients[VICTIM].over
    scene.upload(scene.answers(silent=[VICTIM]))
    scene.close()
    # To the others all is consistent, but the victim's shares are sealed under another roster: they hold none.
    for client in without(IDS, VICTIM):
        answer = scene.read(scene.deliver(client)).table
        assert len(answer) == len(without(IDS, client, VICTIM)) * SHARE_BYTES
