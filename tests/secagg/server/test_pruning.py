"""A sparse session in which a small group is cut off by those who vanish: it is sent away, and the rest goes on."""

import numpy as np
import pytest

from secagg import (
    AdversaryModel,
    ClientPolicy,
    ClientSession,
    PolicyViolationError,
    Result,
    ServerSession,
    SessionParams,
)

PARAMS = SessionParams(
    cohort_size=30,
    neighbours=6,
    threshold=3,
    vector_length=4,
    modulus_bits=16,
    adversary=AdversaryModel.HONEST_BUT_CURIOUS,
    min_survivors=22,
)
CURIOUS = AdversaryModel.HONEST_BUT_CURIOUS


def enrolled(security_bits: int) -> tuple[ServerSession, dict[int, ClientSession]]:
    policy = ClientPolicy(adversary=CURIOUS, corrupt_fraction=0.0, security_bits=security_bits)
    clients = {client: ClientSession(client, policy) for client in range(PARAMS.cohort_size)}
    server = ServerSession(PARAMS, clients)
    for client, session in clients.items():
        server.receive(client, session.receive(server.invitation))
    server.close_stage()
    return server, clients


def test_an_island_between_those_who_vanish_is_pruned_and_the_others_get_their_sum():
    server, clients = enrolled(security_bits=4)
    ring = server._current._cohort.graph._ring.tolist()
    silent, island = {*ring[1:4], *ring[6:9]}, set(ring[4:6])
    for client, message in dict(server.outbound).items():
        reply = clients[client].receive(message)
        if client not in silent:
            server.receive(client, reply)
    delivered = server.close_stage()
    # Everyone on the island has one neighbour left, and three are needed; everyone beyond has three and more.
    assert set(delivered) == set(clients) - silent - island
    assert not set(delivered) & island

    vectors = {client: np.full(4, client, np.uint16) for client in clients}
    outbound = delivered
    while not isinstance(outbound, Result):
        for client, message in outbound.items():
            vector = vectors[client] if clients[client].wants_input else None
            server.receive(client, clients[client].receive(message, vector=vector))
        outbound = server.close_stage()
    assert outbound.survivors == set(delivered)
    assert outbound.sum.tolist() == [sum(delivered)] * 4


def test_a_client_that_asks_for_more_certainty_refuses_so_few_survivors_from_the_start():
    with pytest.raises(PolicyViolationError) as raised:
        enrolled(security_bits=40)
    assert raised.value.rule == "min_survivors"
