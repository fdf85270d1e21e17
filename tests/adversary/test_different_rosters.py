"""A server shows one client another roster than the rest, with the help of a corrupt client that signs twice.

The ring follows from the roster. In a sparse graph another roster gives the victim other neighbours, unless the
server tries keys of the corrupt client until the victim's neighbours come out as they are.
"""

import os
from dataclasses import replace

import numpy as np
import pytest

from secagg.errors import AuthenticationError, InvalidShareError, MalformedMessageError, PolicyViolationError
from secagg.params import AdversaryModel
from secagg.primitives.agreement import KeyPair
from secagg.primitives.shamir import SHARE_BYTES
from secagg.protocol.roster import RosterEntry
from tests.kit.attack_scene import (
    ACTIVE,
    HONEST_BUT_CURIOUS,
    LIAR,
    NEIGHBOURS,
    VICTIM,
    Scene,
    sparse_only,
    whole_roster_shown,
    without,
)


def second_roster(scene: Scene, corrupt: int, *, same_neighbours: bool) -> list[RosterEntry]:
    """Other keys of the corrupt client, well signed; all else is as for everybody."""
    while True:
        entries = [
            scene.signed(replace(entry, mask_key=KeyPair(os.urandom(32)).public)) if entry.client == corrupt else entry
            for entry in scene.roster(VICTIM)
        ]
        if (scene.neighbours_in(entries, VICTIM) == scene.neighbours(VICTIM)) == same_neighbours:
            return entries


def shown_another_roster(model: AdversaryModel, *, same_neighbours: bool = True, stranger: bool = False) -> Scene:
    scene = Scene(model).until("share_keys")
    corrupt = scene.strangers(VICTIM)[0] if stranger else LIAR
    lie = scene.roster_message(second_roster(scene, corrupt, same_neighbours=same_neighbours), VICTIM)
    scene.outbound = {**scene.outbound, VICTIM: lie}
    assert scene.exchange() is None
    return scene


def hidden(scene: Scene) -> dict[int, bytes]:
    """A lying server hides from its own checks what the clients report."""
    replies = scene.answers()
    digest = scene.read(replies[LIAR]).task_digest
    return {
        client: scene.altered(reply, unopened=scene.bitmap(client, ()), task_digest=digest)
        for client, reply in replies.items()
    }


def assert_nobody_opens(scene: Scene) -> None:
    reported = {client: scene.read(reply).unopened for client, reply in scene.answers().items()}
    peers = scene.neighbours(VICTIM)
    assert reported.pop(VICTIM) == scene.bitmap(VICTIM, peers)
    for client, unopened in reported.items():
        assert unopened == scene.bitmap(client, [VICTIM] if client in peers else [])


@whole_roster_shown
def test_nobody_opens_a_seal_of_a_client_with_another_roster(model: AdversaryModel):
    assert_nobody_opens(shown_another_roster(model))


@sparse_only
def test_nor_one_whose_roster_differs_in_a_stranger_only():
    assert_nobody_opens(shown_another_roster(ACTIVE, stranger=True))


@sparse_only
def test_nor_one_whose_neighbours_the_other_roster_changes():
    scene = shown_another_roster(ACTIVE, same_neighbours=False)
    strays = scene.clients[VICTIM]._state._peek().membership.place().cohort
    found = [strays.client(place) for place in strays.graph.neighbours(strays.roster.index[VICTIM]).tolist()]
    assert found != scene.neighbours(VICTIM)
    replies = scene.answers()
    reported = {client: scene.read(reply).unopened for client, reply in replies.items()}
    assert reported.pop(VICTIM) == scene.bitmap(VICTIM, found)
    for client, unopened in reported.items():
        assert unopened == scene.bitmap(client, [VICTIM] if client in scene.neighbours(VICTIM) else [])
    # It reports a stranger, for it knows no better.
    error = scene.accused(VICTIM, replies.pop(VICTIM), MalformedMessageError)
    assert "unopened" in error.reason
    scene.upload(replies)
    with pytest.raises(InvalidShareError) as raised:
        scene.close()
    assert (raised.value.culprit, raised.value.role) == (VICTIM, "dealer")


@whole_roster_shown
def test_an_honest_server_names_the_client_whose_context_is_another(model: AdversaryModel):
    scene = shown_another_roster(model)
    replies = scene.answers()
    scene.accused(VICTIM, replies.pop(VICTIM), AuthenticationError)
    scene.upload(replies)
    # Nobody holds a share of its mask key, so that its pairwise masks cannot be taken off.
    with pytest.raises(InvalidShareError) as raised:
        scene.close()
    assert (raised.value.culprit, raised.value.role) == (VICTIM, "dealer")


def assert_the_victim_is_alone(scene: Scene) -> None:
    scene.upload(hidden(scene))
    scene.close()
    # No peer of the victim proved to it that it takes part: for all that it knows there are only its strangers.
    with pytest.raises(PolicyViolationError) as raised:
        scene.deliver(VICTIM)
    assert (raised.value.rule, raised.value.offered) == ("min_survivors", len(scene.ids) - NEIGHBOURS)
    assert scene.clients[VICTIM].over
    scene.upload(scene.answers(silent=[VICTIM]))
    scene.close()
    # To the others all is consistent, but the victim's shares are sealed under another roster: they hold none.
    for client in without(scene.ids, VICTIM):
        answer = scene.read(scene.deliver(client)).table
        assert len(answer) == len(without(scene.neighbours(client), VICTIM)) * SHARE_BYTES


def test_the_victim_signs_no_survivor_set_and_the_others_hold_no_share_of_it():
    assert_the_victim_is_alone(shown_another_roster(ACTIVE))


@sparse_only
@pytest.mark.parametrize("lie", [{"same_neighbours": False}, {"stranger": True}], ids=["other_ring", "a_stranger"])
def test_nor_where_its_neighbours_are_others_or_all_have_their_own_keys(lie: dict[str, bool]):
    assert_the_victim_is_alone(shown_another_roster(ACTIVE, **lie))


def shown_another_key(kind: str) -> Scene:
    """A client that sees its neighbours only is shown another key of one of them."""
    scene = Scene(HONEST_BUT_CURIOUS).until("share_keys")
    entries = [
        replace(entry, **{kind: KeyPair(os.urandom(32)).public}) if entry.client == LIAR else entry
        for entry in scene.roster(VICTIM)
    ]
    scene.outbound = {**scene.outbound, VICTIM: scene.roster_message(entries, VICTIM)}
    assert scene.exchange() is None
    return scene


@sparse_only
def test_where_no_roster_is_seen_two_clients_with_other_seal_keys_report_each_other():
    scene = shown_another_key("seal_key")
    replies = scene.answers()
    reported = {client: scene.read(reply).unopened for client, reply in replies.items()}
    assert reported.pop(VICTIM) == scene.bitmap(VICTIM, [LIAR])
    assert reported.pop(LIAR) == scene.bitmap(LIAR, [VICTIM])
    assert not any(b"".join(reported.values()))
    scene.upload(replies)
    scene.close()
    scene.assert_exact(scene.finish())


@sparse_only
def test_where_no_roster_is_seen_two_clients_with_other_mask_keys_leave_noise():
    # Such a server lies, which the model rules out; and it spoils its own sum.
    scene = shown_another_key("mask_key")
    result = scene.finish()
    assert result.survivors == frozenset(scene.ids)
    # 11 uniform words of 20 bits: two of them are right by chance less than once in 10**10 runs.
    for clients in (scene.ids, without(scene.ids, VICTIM), without(scene.ids, LIAR), without(scene.ids, VICTIM, LIAR)):
        assert np.count_nonzero(result.sum == scene.sum_of(clients)) <= 1
