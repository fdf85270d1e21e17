"""A server that has the quorum of every neighbourhood a client asks about, but not more than half of the roster.

In a sparse graph two such quorums, for two survivor sets, need not share a client.
"""

from collections.abc import Collection

import numpy as np
import pytest

from secagg.client.session import ClientSession
from secagg.errors import SERVER, InconsistentServerError, PolicyViolationError, StateSpentError
from secagg.params import SessionParams
from secagg.policy import ClientPolicy
from secagg.primitives.bitmap import encode_bitmap
from secagg.primitives.signing import Identity
from secagg.protocol.messages import UnmaskingRequest
from secagg.protocol.wire import decode, encode
from secagg.server.session import ServerSession
from tests.kit.attack_scene import ACTIVE, VICTIM, Scene, records, without

PARAMS = SessionParams(cohort_size=30, neighbours=6, threshold=4, vector_length=1, modulus_bits=8)
"""A client and its neighbours have 13 clients in all their neighbourhoods; more than half of 30 are 16."""
CLIENT = 11


@pytest.fixture(scope="module")
def everyone_signed() -> tuple[ServerSession, bytes, Identity]:
    """A session in which everyone signed, and one client as it was before it is asked for shares."""
    ids = range(PARAMS.cohort_size)
    keys = {client: Identity.generate() for client in ids}
    known = {client: key.public_key for client, key in keys.items()}
    policy = ClientPolicy(identities=known, corrupt_fraction=0.0)
    clients = {client: ClientSession(client, policy, keys[client]) for client in ids}
    server = ServerSession(PARAMS, ids, known)
    outbound = dict.fromkeys(ids, server.invitation)
    while server.stage != "unmask":
        for client, session in clients.items():
            vector = np.zeros(1, np.uint8) if session.wants_input else None
            server.receive(client, session.receive(outbound[client], vector=vector))
        outbound = server.close_stage()
    return server, clients[CLIENT].to_bytes(), keys[CLIENT]


def ask(everyone_signed, signers: Collection[int]) -> bytes | None:
    """Shows the client the signatures of some of those who signed; returns its answer."""
    server, snapshot, identity = everyone_signed
    session_id = server.invitation[7:23]
    genuine = decode(server.outbound[CLIENT], SERVER, PARAMS, session_id=session_id)
    signatures = records(genuine.signatures, 64)
    ordered = sorted(signers)
    bitmap = encode_bitmap(np.isin(np.arange(PARAMS.cohort_size), ordered))
    request = UnmaskingRequest(bitmap, b"".join(signatures[signer] for signer in ordered))
    client = ClientSession.from_bytes(snapshot, identity=identity)
    try:
        return client.receive(encode(request, PARAMS.suite, session_id))
    except InconsistentServerError:
        with pytest.raises(StateSpentError):
            client.receive(encode(request, PARAMS.suite, session_id))
        raise


def involved(server: ServerSession) -> set[int]:
    """The client, its neighbours and theirs."""
    graph = server._current._cohort.graph
    return {int(two) for one in (CLIENT, *graph.neighbours(CLIENT)) for two in graph.neighbours(int(one))}


def test_every_quorum_it_asks_about_is_not_enough(everyone_signed):
    region = involved(everyone_signed[0])
    assert len(region) == 13
    with pytest.raises(InconsistentServerError, match="13 clients signed, 16 of the roster are needed") as raised:
        ask(everyone_signed, region)
    assert raised.value.rule == "quorum"


@pytest.mark.parametrize("more", [2, 3])
def test_more_than_half_of_the_roster_is_enough(everyone_signed, more: int):
    region = involved(everyone_signed[0])
    others = sorted(set(range(PARAMS.cohort_size)) - region)
    if len(region) + more > PARAMS.cohort_size // 2:
        answer = ask(everyone_signed, region | set(others[:more]))
        assert answer is not None
    else:
        with pytest.raises(InconsistentServerError):
            ask(everyone_signed, region | set(others[:more]))


def test_its_own_signature_counts_and_need_not_be_shown(everyone_signed):
    region = involved(everyone_signed[0])
    others = sorted(set(range(PARAMS.cohort_size)) - region)
    assert ask(everyone_signed, (region | set(others[:3])) - {CLIENT}) is not None


@pytest.mark.usefixtures("minimum_accepted_at_the_invitation")
def test_ghosts_do_not_count_towards_the_minimum_of_survivors():
    """Whoever neither signed nor sealed may not be there at all."""
    if not Scene.sparse:
        pytest.skip("in the complete graph every survivor has sealed")
    scene = Scene(ACTIVE, policies={VICTIM: {"min_survivors": 11}}).until("unmask")
    strangers = set(scene.ids) - set(scene.neighbours(VICTIM)) - {VICTIM}
    signatures = dict(zip(scene.ids, records(scene.read(scene.outbound[VICTIM]).signatures, 64), strict=True))
    present = without(scene.ids, *strangers)
    request = UnmaskingRequest(scene.bitmap(VICTIM, present), b"".join(signatures[client] for client in present))
    error = scene.refused(VICTIM, scene.write(request), PolicyViolationError)
    assert (error.rule, error.offered) == ("min_survivors", len(present))
