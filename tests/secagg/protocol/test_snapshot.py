"""Snapshots: sessions that live in a new process for every message, and what a snapshot must not hold."""

import hashlib
from typing import Any

import msgspec
import numpy as np
import pytest

from secagg import (
    AbortCode,
    AdversaryModel,
    ClientPolicy,
    ClientSession,
    Identity,
    InvalidInputError,
    InvalidStateError,
    RemoteError,
    ServerSession,
    StateSpentError,
    Suite,
)
from secagg.client import session as client_session
from secagg.client.states import AdvertisingKeys
from secagg.protocol.snapshot import SnapshotRole, read_snapshot, write_snapshot
from tests.vectors.live import IDS, Live, make_params

ACTIVE, CURIOUS = AdversaryModel.ACTIVE, AdversaryModel.HONEST_BUT_CURIOUS
MODELS = pytest.mark.parametrize("adversary", AdversaryModel, ids=lambda model: model.name)
KEY = bytes(range(100, 132))
WRAPPED = pytest.mark.parametrize("key", [None, KEY], ids=["bare", "wrapped"])
STAGES = ("advertise_keys", "share_keys", "masked_input", "consistency", "unmask")
A, B, C, D, E = IDS[:5]


def restored_client(live: Live, client: int, key: bytes | None = None) -> ClientSession:
    data = live.clients[client].to_bytes(key)
    return ClientSession.from_bytes(data, identity=live.identities.get(client), wrapping_key=key)


def at_stage(live: Live, stage: str) -> Live:
    while live.server.stage != stage:
        live.collect()
        live.close()
    return live


# ---------------------------------------------------------------------------------- A new process every message
@MODELS
@WRAPPED
@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("dropouts", [{}, {"masked_input": [B], "unmask": [D]}], ids=["all", "dropouts"])
def test_everybody_restarts_between_all_messages(
    adversary: AdversaryModel, key: bytes | None, suite: Suite, dropouts: dict
):
    live = Live(make_params(adversary, n=6, suite=suite, modulus_bits=37))
    restarts = []

    def restart() -> None:
        for client in live.clients:
            live.clients[client] = restored_client(live, client, key)
        shown = {client: bytes(message) for client, message in live.server.outbound.items()}
        live.server = ServerSession.from_bytes(live.server.to_bytes(key), wrapping_key=key)
        assert dict(live.server.outbound) == shown
        if shown:
            live.outbound = live.server.outbound
        restarts.append(live.server.stage)

    result = live.run(dropouts, between=restart)
    live.check(result)
    assert restarts == [stage for stage in STAGES if adversary is ACTIVE or stage != "consistency"]
    assert result.survivors == set(IDS[:6]) - set(dropouts.get("masked_input", ()))


@MODELS
@WRAPPED
def test_a_client_that_restarts_after_its_reply_gives_the_same_one_again(adversary: AdversaryModel, key: bytes | None):
    live = Live(make_params(adversary))
    while live.result is None:
        for client, message in live.outbound.items():
            reply = live.answer(client, message)
            live.clients[client] = restored_client(live, client, key)
            again = live.clients[client].receive(message)
            assert again == (None if live.server.stage == "masked_input" else reply)
            live.server.receive(client, reply)
        live.close()
    live.check(live.result)
    assert all(session.over for session in live.clients.values())
    # What was accepted long ago is still known, and anything new is too late.
    assert live.clients[A].receive(live.server.invitation) is None
    with pytest.raises(StateSpentError):
        live.clients[A].receive(live.server.abort_message())


@MODELS
def test_a_client_that_lost_its_answer_in_a_restart_answers_from_the_older_snapshot(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    for client in live.clients:
        live.clients[client] = restored_client(live, client)
    while live.result is None:
        snapshots = {client: session.to_bytes() for client, session in live.clients.items()}
        live.answer(A, live.outbound[A])  # is lost, and so is the state after it
        live.clients[A] = ClientSession.from_bytes(snapshots[A], identity=live.identities.get(A))
        live.collect()
        live.close()
    live.check(live.result)
    assert A in live.result.survivors


@MODELS
def test_faults_survive_a_restart_of_the_server(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    live.collect([A])
    with pytest.raises(RemoteError):
        live.server.receive(A, b"garbage")
    live.close()
    faults = live.server.faults
    live.server = ServerSession.from_bytes(live.server.to_bytes())
    assert live.server.faults == faults
    assert faults[A].error == "MalformedMessageError"
    result = live.run()
    live.check(result)
    assert set(result.culprits) == {A}
    assert result.survivors == {B, C, D, E}


@MODELS
def test_a_published_survivor_set_is_sent_again_unchanged_after_a_restart(adversary: AdversaryModel):
    live = at_stage(Live(make_params(adversary)), "masked_input")
    live.collect([E])
    live.close()
    published = {client: bytes(message) for client, message in live.outbound.items()}
    assert set(published) == {A, B, C, D}
    snapshot = live.server.to_bytes()
    replies = {client: live.answer(client, published[client]) for client in (A, B)}
    # The server dies here: half of the clients have the set, and their answers are lost.
    for _ in range(2):
        live.server = ServerSession.from_bytes(snapshot)
        assert dict(live.server.outbound) == published
        assert live.server.awaited == set(published)
    live.outbound = live.server.outbound
    for client in (A, B):
        assert live.answer(client, live.outbound[client]) == replies[client]
    live.check(live.run())
    assert live.result.survivors == {A, B, C, D}


@MODELS
def test_a_server_snapshot_is_taken_at_round_boundaries_only(adversary: AdversaryModel):
    live = Live(make_params(adversary))

    def boundary() -> None:
        live.server.to_bytes()
        first = live.outbound[A]
        live.server.receive(A, live.answer(A, first))
        with pytest.raises(InvalidStateError, match="right after close_stage"):
            live.server.to_bytes()
        live.outbound = {client: message for client, message in live.outbound.items() if client != A}

    live.check(live.run(between=boundary))
    with pytest.raises(StateSpentError, match="the session is over"):
        live.server.to_bytes()


def test_a_refused_message_does_not_stand_in_the_way_of_a_snapshot():
    live = at_stage(Live(make_params()), "masked_input")
    with pytest.raises(RemoteError):
        live.server.receive(A, b"garbage")
    live.server = ServerSession.from_bytes(live.server.to_bytes())
    live.outbound = live.server.outbound
    live.check(live.run())


def test_a_session_before_its_invitation_and_one_that_is_over_have_snapshots_too():
    live = Live(make_params())
    live.clients[A] = restored_client(live, A)
    assert live.clients[A].phase == "awaiting the invitation"
    live.check(live.run())
    assert restored_client(live, A).over

    live = Live(make_params())
    live.collect()
    live.clients[B].leave(AbortCode.LEAVING)
    over = ClientSession.from_bytes(live.clients[B].to_bytes(), identity=live.identities[B])
    assert over.over
    live.close()
    with pytest.raises(StateSpentError):
        over.receive(live.outbound[B])


# ------------------------------------------------------------------------------------------- What it must not hold
def secrets_of(live: Live, client: int) -> dict[str, bytes]:
    """Returns what a client drew, looked up in the states that hold it. Call it before the vector is masked."""
    shared = live.clients[client]._state._peek()
    return {"mask key": shared.mask_private, "self-mask seed": shared.self_mask_seed}


@MODELS
def test_the_snapshot_after_masking_holds_no_secret_of_its_own(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    live.collect()
    seal_private = live.clients[A]._state._peek().seal_private
    assert seal_private in live.clients[A].to_bytes()  # the search finds what is there
    live.close()
    live.collect()
    live.close()
    secrets = secrets_of(live, A)
    before = live.clients[A].to_bytes()
    assert secrets["mask key"] in before
    assert secrets["self-mask seed"] in before
    assert seal_private not in before
    # From here on the server may be given one share of either secret by every peer, and A itself has none.
    snapshots = []
    while live.result is None:
        live.collect()
        snapshots.append(live.clients[A].to_bytes())
        live.close()
    assert len(snapshots) == (3 if adversary is ACTIVE else 2)
    for snapshot in snapshots:
        for secret in (*secrets.values(), seal_private):
            assert secret not in snapshot
    live.check(live.result)


@MODELS
def test_once_the_survivors_are_fixed_only_the_answer_is_left(adversary: AdversaryModel):
    live = at_stage(Live(make_params(adversary)), "masked_input")
    live.collect([E])
    live.close()
    pairs = live.clients[A]._state._peek().shares
    # By dealer B, C, D, E: a share of its mask key, then one of its self-mask seed.
    shares = [pairs[at : at + 40] for at in range(0, len(pairs), 40)]
    assert len(shares) == 8
    live.collect()
    after = live.clients[A].to_bytes()
    kept = [share in after for share in shares]
    # Of the survivors B, C and D the seed's, of E, who vanished, the mask key's.
    assert kept == [False, True, False, True, False, True, True, False]
    live.close()
    live.check(live.run())


@WRAPPED
def test_no_snapshot_ever_holds_the_identity(key: bytes | None):
    live = Live(make_params())

    def look() -> None:
        for client, session in live.clients.items():
            assert live.seeds[client] not in session.to_bytes(key)
        assert not any(seed in live.server.to_bytes(key) for seed in live.seeds.values())

    live.check(live.run(between=look))
    for client, session in live.clients.items():
        assert live.seeds[client] not in session.to_bytes(key)


def test_a_wrapped_snapshot_shows_nothing_and_is_never_twice_the_same():
    live = at_stage(Live(make_params()), "masked_input")
    secret = secrets_of(live, A)["mask key"]
    wrapped = [live.clients[A].to_bytes(KEY) for _ in range(2)]
    assert wrapped[0] != wrapped[1]
    assert all(secret not in snapshot and live.public_keys[B] not in snapshot for snapshot in wrapped)
    assert live.clients[A].to_bytes() == live.clients[A].to_bytes()


# ----------------------------------------------------------------------------------------------------- Refusals
def both(live: Live, key: bytes | None = None) -> list[tuple[bytes, Any, dict[str, Any]]]:
    """A client's snapshot and a server's, each with what reads it."""
    return [
        (live.clients[A].to_bytes(key), ClientSession.from_bytes, {"identity": live.identities.get(A)}),
        (live.server.to_bytes(key), ServerSession.from_bytes, {}),
    ]


@MODELS
@WRAPPED
@pytest.mark.parametrize("stage", STAGES)
def test_every_damage_is_noticed(adversary: AdversaryModel, key: bytes | None, stage: str):
    if stage == "consistency" and adversary is CURIOUS:
        stage = "unmask"
    live = at_stage(Live(make_params(adversary, vector_length=2)), stage)
    for data, read, options in both(live, key):
        read(data, wrapping_key=key, **options)
        step = max(1, len(data) // 60)
        for at in (*range(48), *range(48, len(data), step)):
            for damaged in (data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :], data[:at]):
                with pytest.raises(InvalidStateError):
                    read(damaged, wrapping_key=key, **options)
        with pytest.raises(InvalidStateError, match="damaged"):
            read(data + b"\0", wrapping_key=key, **options)


def test_each_refusal_says_why():
    live = at_stage(Live(make_params()), "masked_input")
    for data, read, options in both(live):
        with pytest.raises(InvalidStateError, match="no snapshot"):
            read(b"SAGG" + data[4:], **options)
        with pytest.raises(InvalidStateError, match="version 1, this library reads 2"):
            read(data[:4] + b"\x01" + data[5:], **options)
        with pytest.raises(InvalidStateError, match="damaged or truncated"):
            read(data[:-1], **options)
        with pytest.raises(InvalidStateError, match="no key was given"):
            read(data, wrapping_key=KEY, **options)
    for data, read, options in both(live, KEY):
        with pytest.raises(InvalidStateError, match="no key was given"):
            read(data, **options)
        with pytest.raises(InvalidStateError, match="another key"):
            read(data, wrapping_key=bytes(32), **options)


@WRAPPED
def test_the_roles_are_not_exchangeable(key: bytes | None):
    live = at_stage(Live(make_params()), "masked_input")
    with pytest.raises(InvalidStateError, match="other role"):
        ServerSession.from_bytes(live.clients[A].to_bytes(key), wrapping_key=key)
    with pytest.raises(InvalidStateError, match="other role"):
        ClientSession.from_bytes(live.server.to_bytes(key), identity=live.identities[A], wrapping_key=key)


@pytest.mark.parametrize("role", [1, 2])
def test_a_role_that_is_changed_by_hand_is_noticed(role: int):
    live = at_stage(Live(make_params()), "masked_input")
    data = both(live)[role - 1][0]
    other = both(live)[2 - role]
    changed = data[:5] + bytes([3 - role]) + data[6:]
    with pytest.raises(InvalidStateError, match="damaged"):
        other[1](changed, **other[2])
    # Even with a checksum that fits: what it holds is not what the other role reads.
    body = data[7 + 32 :]
    changed = changed[:7] + hashlib.sha256(changed[:7] + body).digest() + body
    with pytest.raises(InvalidStateError, match="does not decode"):
        other[1](changed, **other[2])


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), bytearray(32), "k" * 32, 0])
def test_a_wrapping_key_is_32_bytes(key: object):
    live = Live(make_params())
    wrapped = live.clients[A].to_bytes(KEY)
    with pytest.raises(InvalidInputError, match="wrapping_key"):
        live.clients[A].to_bytes(key)
    with pytest.raises(InvalidInputError, match="wrapping_key"):
        live.server.to_bytes(key)
    with pytest.raises(InvalidInputError, match="wrapping_key"):
        ClientSession.from_bytes(wrapped, identity=live.identities[A], wrapping_key=key)


def test_a_client_snapshot_wants_its_own_identity():
    live = at_stage(Live(make_params()), "masked_input")
    data = live.clients[A].to_bytes()
    for identity in (None, live.identities[B], Identity.generate()):
        with pytest.raises(InvalidInputError, match="identity"):
            ClientSession.from_bytes(data, identity=identity)
    live.clients[A] = ClientSession.from_bytes(data, identity=live.identities[A])
    live.check(live.run())
    curious = at_stage(Live(make_params(CURIOUS)), "masked_input")
    with pytest.raises(InvalidInputError, match="identity"):
        ClientSession.from_bytes(curious.clients[A].to_bytes(), identity=live.identities[A])


@pytest.mark.usefixtures("minimum_accepted_at_the_invitation")
def test_the_policy_travels_with_the_snapshot():
    live = Live(make_params(), corrupt_fraction=0.2, min_survivors=5, small_consortium=True, application=b"")
    live.clients[A] = restored_client(live, A)
    policy = live.clients[A]._policy
    assert isinstance(policy, ClientPolicy)
    assert policy == live.policy
    at_stage(live, "masked_input").collect([E])
    live.close()
    live.clients[A] = restored_client(live, A)
    with pytest.raises(RemoteError, match="min_survivors"):
        live.answer(A, live.outbound[A])


def test_a_fraction_out_of_numpy_is_no_obstacle_to_a_snapshot():
    live = Live(make_params(), corrupt_fraction=np.float64(0.1))
    live.collect()
    live.clients[A] = restored_client(live, A)
    live.close()
    live.check(live.run())


def test_who_left_survives_a_restart_of_the_server():
    live = Live(make_params())
    live.collect()
    live.close()
    live.server.receive(A, live.clients[A].leave())
    live.server = ServerSession.from_bytes(live.server.to_bytes())
    assert live.server.aborted == {A: AbortCode.LEAVING}
    live.clients[B].receive(live.server.abort_message(AbortCode.PROTOCOL))
    assert restored_client(live, B).aborted is AbortCode.PROTOCOL


def test_no_snapshot_falls_between_the_invitation_and_the_keys():
    live = Live(make_params(CURIOUS))
    session = live.clients[A]
    session._place = session._place._replace(state=AdvertisingKeys(live.params, bytes(16), A, live.policy))
    with pytest.raises(InvalidStateError, match="between the invitation and the keys"):
        session.to_bytes()


def test_a_session_and_a_policy_of_different_models_are_no_snapshot():
    live, other = Live(make_params(CURIOUS)), Live(make_params(ACTIVE))
    live.collect()
    other.collect()
    theirs = read_snapshot(SnapshotRole.CLIENT, other.clients[A].to_bytes(), client_session._Snapshot, None)
    forged = msgspec.structs.replace(theirs, policy=live.policy)
    with pytest.raises(InvalidStateError, match="another adversary model"):
        ClientSession.from_bytes(write_snapshot(SnapshotRole.CLIENT, forged, None))
