"""Stage 0 on the server: whoever advertised sound keys in time is in the roster."""

import pytest

from secagg import (
    AuthenticationError,
    ClientPolicy,
    ClientSession,
    Identity,
    InvalidInputError,
    ServerSession,
    TooFewClientsError,
    UnexpectedMessageError,
)
from secagg.protocol.messages import AdvertiseKeys
from secagg.protocol.roster import decode_roster
from secagg.protocol.wire import decode
from tests.kit.sessions import ACTIVE, CURIOUS, A, B, C, D, E, Live, given, make_params, models


def advertised(live: Live, client: int) -> AdvertiseKeys:
    return decode(live.answer(client, live.outbound[client]), client, live.params, session_id=live.server.session_id)


@models
def test_the_roster_is_who_advertised_ascending(adversary):
    live = Live(make_params(adversary))
    live.collect(silent=[C])
    live.close()
    roster = decode_roster(given(live).entries, live.params)
    assert [entry.client for entry in roster.entries] == sorted([A, B, D, E])
    assert given(live).total == 4
    assert set(live.outbound) == {A, B, D, E}


def test_in_a_sparse_graph_an_honest_server_shows_a_curious_client_its_neighbours():
    live = Live(make_params(CURIOUS, n=7, neighbours=4, min_survivors=6))
    live.collect()
    live.close()
    shown = [decode_roster(given(live, client).entries, live.params) for client in live.clients]
    assert {len(roster) for roster in shown} == {5}
    assert {given(live, client).total for client in live.clients} == {7}


@models
def test_a_key_that_was_advertised_before_is_refused(adversary):
    live = Live(make_params(CURIOUS if adversary is CURIOUS else ACTIVE))
    stage, first = live.server._current, advertised(live, A)
    stage.receive(A, first)
    copied = AdvertiseKeys(first.mask_key, first.seal_key, first.signature)
    with pytest.raises(AuthenticationError) as caught:
        stage.receive(B, copied)
    assert caught.value.culprit == B
    assert stage.received == {A}
    same = AdvertiseKeys(first.seal_key, first.seal_key, first.signature)
    with pytest.raises(AuthenticationError):
        stage.receive(C, same)
    stage.receive(B, advertised(live, B))


@models
def test_it_closes_with_as_many_as_must_survive(adversary):
    live = Live(make_params(adversary))
    needed = live.params.min_survivors
    live.collect(silent=list(live.clients)[needed - 1 :])
    with pytest.raises(TooFewClientsError) as caught:
        live.close()
    assert (caught.value.needed, caught.value.remaining) == (needed, needed - 1)


# ------------------------------------------------------------------------------------------- Who answers as whom, later
def test_a_cohort_is_whoever_of_the_identities_advertises_first():
    live = Live(make_params(ACTIVE, n=5))
    strangers = {7: Identity(bytes([7]) * 32), 8: Identity(bytes([8]) * 32)}
    keys = live.public_keys | {client: identity.public_key for client, identity in strangers.items()}
    policy = ClientPolicy(identities=keys, corrupt_fraction=0.0, min_cohort=5)
    live.server = ServerSession(live.params, None, keys)
    identities = live.identities | strangers
    live.clients = {client: ClientSession(client, policy, identity) for client, identity in identities.items()}
    live.vectors |= {client: live.vector(client) for client in strangers}
    assert live.server.awaited == set(keys)
    first = [8, *sorted(live.public_keys)[:4]]
    answers = {client: live.answer(client, live.server.invitation) for client in keys}
    for client in first:
        live.server.receive(client, answers[client])
    with pytest.raises(UnexpectedMessageError, match="5 clients at most"):
        live.server.receive(7, answers[7])
    assert live.server.faults == {}
    live.close()
    assert set(live.outbound) == set(first)
    live.check(live.run())
    assert live.result.survivors == set(first)


def test_without_clients_the_identities_are_as_many_at_least():
    params = make_params(ACTIVE, n=5)
    keys = {client: Identity(bytes([client]) * 32).public_key for client in range(4)}
    with pytest.raises(InvalidInputError, match="clients"):
        ServerSession(params, None, keys)
    with pytest.raises(InvalidInputError, match="clients"):
        ServerSession(make_params(CURIOUS, n=5), None)
