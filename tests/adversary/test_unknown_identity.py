"""A server invents peers, or vouches itself for the identity keys of others."""

from dataclasses import replace

import pytest

from secagg.errors import AuthenticationError, InvalidInputError
from tests.kit.attack_scene import ACTIVE, LIAR, SPARE, STRANGER, VICTIM, Scene


def public_keys() -> dict[int, bytes]:
    scene = Scene(ACTIVE)
    return {client: scene.identities[client].public_key for client in scene.ids}


def test_a_peer_that_the_policy_does_not_know_is_refused():
    known = public_keys()
    del known[LIAR]
    scene = Scene(ACTIVE, policies={VICTIM: {"identities": known}}).until("share_keys")
    error = scene.refused(VICTIM, scene.outbound[VICTIM], AuthenticationError)
    assert error.reason == f"no identity key is known for client {LIAR}"
    scene.assert_exact(scene.finish(), missing={VICTIM})


def test_a_client_that_no_policy_knows_is_refused_by_those_too_that_are_no_neighbours():
    # In a sparse graph its signature would count among half of the roster.
    known = public_keys()
    del known[LIAR]
    observers = {client: {"identities": known} for client in known}
    scene = Scene(ACTIVE, policies=observers).until("share_keys")
    assert bool(scene.strangers(LIAR)) == scene.params.sparse
    for client in observers:
        error = scene.refused(client, scene.outbound[client], AuthenticationError)
        assert error.reason == f"no identity key is known for client {LIAR}"


def test_an_invented_client_in_the_place_of_a_silent_one_is_refused():
    scene = Scene(ACTIVE).until("share_keys")
    entries = {entry.client: entry for entry in scene.roster()}
    silent = entries.pop(SPARE)
    entries[STRANGER] = scene.signed(replace(silent, client=STRANGER))
    lie = scene.roster_message(sorted(entries.values(), key=lambda entry: entry.client))
    error = scene.refused(VICTIM, lie, AuthenticationError)
    assert error.reason == f"no identity key is known for client {STRANGER}"


def test_a_client_does_not_take_part_under_an_identity_that_its_policy_gives_to_another():
    known = public_keys()
    known[VICTIM] = Scene(ACTIVE).identities[STRANGER].public_key
    with pytest.raises(InvalidInputError) as raised:
        Scene(ACTIVE, policies={VICTIM: {"identities": known}})
    assert raised.value.field == "identity"
