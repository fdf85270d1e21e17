"""One corrupt client takes part under two ids, to be counted twice in every quorum."""

import pytest

from secagg.errors import AuthenticationError, InvalidInputError
from secagg.server.session import ServerSession
from tests.kit.attack_scene import ACCOMPLICE, ACTIVE, LIAR, VICTIM, Scene


def test_one_identity_key_for_two_clients_of_a_roster_is_refused():
    honest = Scene(ACTIVE)
    known = {client: honest.identities[client].public_key for client in honest.ids}
    known[ACCOMPLICE] = known[LIAR]
    scene = Scene(ACTIVE, policies={VICTIM: {"identities": known}}).until("share_keys")
    entries = {entry.client: entry for entry in scene.roster()}
    entries[ACCOMPLICE] = scene.signed(entries[ACCOMPLICE], signer=LIAR)
    error = scene.refused(VICTIM, scene.roster_message(entries.values()), AuthenticationError)
    assert error.reason == "one identity key stands for two clients of the roster"
    scene.assert_exact(scene.finish(), missing={VICTIM})


def test_one_identity_key_for_two_clients_is_refused_by_those_too_that_are_no_neighbours():
    # In a sparse graph signatures of strangers count, among half of the roster.
    honest = Scene(ACTIVE)
    known = {client: honest.identities[client].public_key for client in honest.ids}
    known[ACCOMPLICE] = known[LIAR]
    observers = {client: {"identities": known} for client in honest.ids if client != ACCOMPLICE}
    scene = Scene(ACTIVE, policies=observers).until("share_keys")
    entries = {entry.client: entry for entry in scene.roster()}
    entries[ACCOMPLICE] = scene.signed(entries[ACCOMPLICE], signer=LIAR)
    lie = scene.roster_message(entries.values())
    assert bool(scene.strangers(LIAR)) == scene.params.sparse
    for client in observers:
        error = scene.refused(client, lie, AuthenticationError)
        assert error.reason == "one identity key stands for two clients of the roster"


def test_a_server_does_not_begin_with_one_identity_key_for_two_clients():
    scene = Scene(ACTIVE)
    known = {client: scene.identities[client].public_key for client in scene.ids}
    known[ACCOMPLICE] = known[LIAR]
    with pytest.raises(InvalidInputError) as raised:
        ServerSession(scene.params, scene.ids, known)
    assert raised.value.field == "identities"
