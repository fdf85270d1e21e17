"""Clients claim that an honest dealer's seals did not open."""

import msgspec
import numpy as np
import pytest

from secagg import ClientPolicy, ClientSession, Identity, ServerSession
from secagg.errors import InvalidShareError, MalformedMessageError, TooFewClientsError
from secagg.params import AdversaryModel, SessionParams
from secagg.primitives.shamir import SHARE_BYTES
from secagg.protocol.wire import decode, encode
from tests.kit.attack_scene import (
    ACTIVE,
    BELIEVED,
    NEIGHBOURS,
    PEER,
    THRESHOLD,
    Scene,
    bitmap,
    both_models,
    records,
    sparse_only,
)


def accused(model: AdversaryModel, accusers: slice) -> tuple[Scene, list[int]]:
    """Runs round 2 with some of the peer's neighbours, who claim that they cannot open its seal."""
    scene = Scene(model).until("masked_input")
    replies = scene.answers()
    chosen = scene.neighbours(PEER)[accusers]
    for client in chosen:
        replies[client] = scene.altered(replies[client], unopened=scene.bitmap(client, [PEER]))
    scene.upload(replies)
    return scene, chosen


def withheld(scene: Scene, accusers: list[int]) -> dict[int, bytes]:
    """The accusers stand by their claim and return no share of the peer's."""
    replies = scene.until("unmask").answers()
    for client in accusers:
        shares = records(scene.read(replies[client]).table, SHARE_BYTES)
        del shares[scene.neighbours(client).index(PEER)]
        replies[client] = scene.altered(replies[client], table=b"".join(shares))
    return replies


@both_models
@pytest.mark.parametrize("accusers", [slice(1), slice(2), slice(-2, None)], ids=["one", "two", "the_last_two"])
def test_as_many_as_the_threshold_allows_for_change_nothing(model: AdversaryModel, accusers: slice):
    scene, liars = accused(model, accusers)
    scene.close()
    scene.upload(withheld(scene, liars))
    result = scene.close()
    scene.assert_exact(result)
    assert not result.culprits


@both_models
def test_half_of_the_holders_cannot_get_an_honest_dealer_blamed(model: AdversaryModel):
    scene, accusers = accused(model, slice(NEIGHBOURS // 2))
    assert len(accusers) == NEIGHBOURS // 2
    with pytest.raises(TooFewClientsError) as raised:
        scene.close()
    error = raised.value
    assert (error.stage, error.neighbourhood) == ("masked_input", PEER)
    assert (error.needed, error.remaining) == (THRESHOLD, NEIGHBOURS - len(accusers))
    assert scene.server.faults[PEER].error == "DisputedShares"
    assert scene.server.faults[PEER].detail.endswith("it lies, or they do")


@both_models
def test_closing_too_early_gets_nobody_named(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    replies = scene.answers()
    liar = scene.neighbours(PEER)[0]
    scene.upload({liar: scene.altered(replies.pop(liar), unopened=scene.bitmap(liar, [PEER]))})
    with pytest.raises(TooFewClientsError) as raised:
        scene.close()
    assert (raised.value.neighbourhood, raised.value.remaining) == (None, 1)
    assert not scene.server.faults
    scene.upload(replies)
    scene.close()
    scene.upload(withheld(scene, [liar]))
    result = scene.close()
    scene.assert_exact(result)
    assert not result.culprits


@both_models
def test_as_many_as_cannot_be_corrupt_are_believed(model: AdversaryModel):
    # So many corrupt clients are beyond what either model defends against.
    scene, _ = accused(model, slice(BELIEVED[model]))
    with pytest.raises(InvalidShareError) as raised:
        scene.close()
    assert (raised.value.culprit, raised.value.role) == (PEER, "dealer")


@both_models
def test_an_accuser_that_returns_the_share_after_all_is_named(model: AdversaryModel):
    scene, [accuser] = accused(model, slice(1))
    scene.close()
    replies = scene.until("unmask").answers()
    error = scene.accused(accuser, replies.pop(accuser), MalformedMessageError)
    assert error.reason == f"UnmaskingShares: {NEIGHBOURS - 1} shares are awaited"
    scene.upload(replies)
    result = scene.close()
    scene.assert_exact(result)
    assert set(result.culprits) == {accuser}


@sparse_only
def test_half_of_a_neighbourhood_are_no_more_with_its_strangers():
    scene = Scene(ACTIVE).until("masked_input")
    replies = scene.answers()
    strangers = scene.strangers(PEER)
    for client in strangers:
        lie = scene.altered(replies[client], unopened=scene.bitmap(client, [PEER]))
        assert "unopened" in scene.accused(client, lie, MalformedMessageError).reason
    for client in scene.neighbours(PEER)[: NEIGHBOURS // 2]:
        replies[client] = scene.altered(replies[client], unopened=scene.bitmap(client, [PEER]))
    scene.upload(replies)
    with pytest.raises(TooFewClientsError) as raised:
        scene.close()
    assert (raised.value.neighbourhood, raised.value.remaining) == (PEER, NEIGHBOURS // 2)
    faults = {client: fault.error for client, fault in scene.server.faults.items()}
    assert faults == {PEER: "DisputedShares"} | dict.fromkeys(strangers, "MalformedMessageError")


def test_corrupt_clients_within_what_a_policy_assumes_get_nobody_blamed():
    """With a threshold far above half of the peers, more than half of them may be corrupt and open nobody."""
    params = SessionParams(cohort_size=10, threshold=8, vector_length=1, modulus_bits=8, adversary=ACTIVE)
    keys = {client: Identity.generate() for client in range(10)}
    known = {client: key.public_key for client, key in keys.items()}
    # 2 * 8 > 9 + 5: five corrupt clients are within the policy of everyone.
    policy = ClientPolicy(identities=known, corrupt_fraction=0.45)
    clients = {client: ClientSession(client, policy, keys[client]) for client in range(10)}
    server = ServerSession(params, range(10), known)
    outbound = dict.fromkeys(clients, server.invitation)
    for _ in range(2):
        for client, session in clients.items():
            server.receive(client, session.receive(outbound[client]))
        outbound = server.close_stage()
    session_id = server.invitation[7:23]
    for client, session in clients.items():
        reply = session.receive(outbound[client], vector=np.zeros(1, np.uint8))
        if client < 5:
            lie = msgspec.structs.replace(
                decode(reply, client, params, session_id=session_id), unopened=bitmap([7], range(10))
            )
            reply = encode(lie, params.suite, session_id)
        server.receive(client, reply)
    with pytest.raises(TooFewClientsError):
        server.close_stage()
    assert {client: fault.error for client, fault in server.faults.items()} == {7: "DisputedShares"}
