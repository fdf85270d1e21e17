"""One corrupt client takes part under two ids, to be counted twice in every quorum."""

import pytest

from secagg.errors import AuthenticationError, InvalidInputError
from secagg.server_session import ServerSession
from tests.adversary.scene import ACCOMPLICE, ACTIVE, IDS, LIAR, VICTIM, Scene


def test_one_identity_key_for_two_clients_of_a_roster_is_refused():
    known = {client: identity.public_key for client, identity in Scene(ACTIVE).identities.items() if client in IDS}
    known[ACCOMPLICE] = known[LIAR]
    scene = Scene(ACTIVE, policies={VICTIM: {"identities": known}}).until("share_keys")
    entries = {entry.client: entry for entry in scene.roster()}
    entries[ACCOMPLICE] = scene.signed(entries[ACCOMPLICE], signer=LIAR)
    error = scene.refused(VICTIM, scene.roster_message(entries.values()), AuthenticationError)
    assert error.reason == "one identity key stands for two clients of the roster"
    scene.assert_exact(scene.finish(), missing={VICTIM})


def test_a_server_does_not_begin_with_one_identity_key_for_two_clients():
    scene = Scene(ACTIVE)
    known = {client: scene.identities[client].public_key for client in IDS}
    known[ACCOMPLICE] = known[LIAR]
    with pytest.raises(InvalidInputError) as raised:
        ServerSession(scene.params, IDS, known)
    assert raised.value.field == "identities"
