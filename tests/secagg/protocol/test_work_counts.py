"""How many key agreements and key derivations a session takes: no more than the protocol needs, on either side."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

import secagg.protocol.cohort
import secagg.protocol.sealing
from secagg import AdversaryModel, ClientPolicy, ClientSession, Identity, Result, ServerSession, SessionParams
from secagg.primitives.agreement import KeyPair

CLIENTS, DROPPED = 14, 3


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    counted: Counter[str] = Counter()
    agree = KeyPair.shared_secret

    def agreed(*arguments):
        counted["agreements"] += 1
        return agree(*arguments)

    monkeypatch.setattr(KeyPair, "shared_secret", agreed)
    for module in (secagg.protocol.cohort, secagg.protocol.sealing):
        derive = module.derive_key

        def derived(*arguments, derive=derive, **named):
            counted["derivations"] += 1
            return derive(*arguments, **named)

        monkeypatch.setattr(module, "derive_key", derived)
    return counted


@pytest.mark.parametrize("adversary", list(AdversaryModel))
@pytest.mark.parametrize("neighbours", [CLIENTS - 1, 8])
def test_agreements_and_derivations_are_those_of_the_protocol(
    work: Counter[str], adversary: AdversaryModel, neighbours: int
):
    survivors = CLIENTS - DROPPED
    params = SessionParams(
        cohort_size=CLIENTS,
        neighbours=neighbours,
        threshold=neighbours // 2 + 1,
        vector_length=3,
        modulus_bits=8,
        adversary=adversary,
        min_survivors=survivors,
    )
    keys = {client: Identity.generate() for client in range(CLIENTS)} if params.active else {}
    known = {client: key.public_key for client, key in keys.items()}
    policy = ClientPolicy(identities=known, adversary=adversary, corrupt_fraction=0.0)
    clients = {client: ClientSession(client, policy, keys.get(client)) for client in range(CLIENTS)}
    server = ServerSession(params, range(CLIENTS), known or None)
    outbound = dict.fromkeys(clients, server.invitation)
    by_client: dict[int, Counter[str]] = {client: Counter() for client in clients}
    while True:
        stage = server.stage
        for client, message in outbound.items():
            if client < DROPPED and stage not in {"advertise_keys", "share_keys"}:
                continue
            vector = np.zeros(3, np.uint8) if clients[client].wants_input else None
            work.clear()
            reply = clients[client].receive(message, vector=vector)
            by_client[client].update(work)
            work.clear()
            server.receive(client, reply)
            assert not work, "no key work of the server's falls on a client's message"
        graph = None if stage == "advertise_keys" else server._current._cohort.graph
        closed = server.close_stage()
        if isinstance(closed, Result):
            break
        assert not work, "nor on the close of a round but the last"
        outbound = closed

    for client in range(DROPPED, CLIENTS):
        # A seal key and a mask key with each neighbour; a key for either direction of the seals, and the masks.
        assert by_client[client] == {"agreements": 2 * neighbours, "derivations": 3 * neighbours + 1}
    assert graph is not None
    pairs = sum(np.count_nonzero(graph.neighbours(index) >= DROPPED) for index in range(DROPPED))
    # One for each pair of a dropped client and a survivor, and each survivor's own mask.
    assert work == {"agreements": pairs, "derivations": pairs + survivors}
