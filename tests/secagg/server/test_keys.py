"""Stage 0 on the server: whoever advertised sound keys in time is in the roster."""

import pytest

from secagg import AuthenticationError, TooFewClientsError
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
