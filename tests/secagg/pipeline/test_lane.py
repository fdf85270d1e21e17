"""secagg.pipeline.lane: who answers a session from which address."""

import pytest

from secagg import InvalidParameterError, ServerSession, StrayMessageError, UnexpectedMessageError
from secagg.pipeline.lane import Lane, who_answers
from tests.kit.sessions import ACTIVE, CURIOUS, IDS, Live, make_params


def lane_of(live: Live, addresses: object) -> Lane:
    return Lane(live.server, *who_answers(live.server, addresses))  # type: ignore[arg-type]


def test_an_address_is_the_id_or_is_mapped_to_it_or_is_not_known_yet():
    curious = ServerSession(make_params(CURIOUS), IDS[:5])
    assert who_answers(curious, IDS[:5]) == (IDS[:5], {client: client for client in IDS[:5]})
    assert who_answers(curious, {1: 10, 2: 20}) == ((1, 2), {1: 10, 2: 20})
    assert who_answers(Live(make_params(ACTIVE)).server, [7, 8]) == ((7, 8), {})
    with pytest.raises(InvalidParameterError):
        who_answers(curious, {1: 10, 2: 10})


def test_what_is_to_be_sent_goes_to_the_addresses_of_the_stage():
    live = Live(make_params(ACTIVE))
    addresses = dict(enumerate(live.clients))
    lane = lane_of(live, addresses)
    assert tuple(lane.receivers) == tuple(addresses)
    assert lane.message(0) == live.server.invitation
    assert not lane.in_flight
    lane.send()
    assert lane.awaited == set(addresses)
    for address, client in addresses.items():
        lane.receive(address, client, live.answer(client, lane.message(address)))
        lane.done(address)
    assert lane.awaited == frozenset()
    assert lane.clients == addresses
    live.close()
    assert not lane.in_flight, "the session moved on"
    assert lane.message(3) == live.server.outbound[addresses[3]]


def test_others_are_strays_or_named():
    live = Live(make_params(ACTIVE))
    lane = lane_of(live, [1, 2])
    first, second = list(live.clients)[:2]
    reply = live.answer(first, live.server.invitation)
    with pytest.raises(StrayMessageError):
        lane.receive(3, first, reply)
    lane.receive(1, first, reply)
    assert lane.clients == {1: first}
    for address, claimed in ((2, first), (1, second)):
        with pytest.raises(UnexpectedMessageError) as refused:
            lane.receive(address, claimed, reply)
        assert refused.value.culprit == claimed
