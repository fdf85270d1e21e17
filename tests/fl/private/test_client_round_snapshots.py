"""fl.private.client_round: a client that restarts goes on where it was, and no old or foreign snapshot is taken."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from dp.ledger.errors import RoundRefusedError
from fl.arrays.flatten import flatten
from fl.errors import PlanMismatchError
from fl.private.client_round import ClientRound, CountedRoundError, _Snapshot
from fl.private.snapshots import VERSION
from secagg.errors import (
    InvalidInputError,
    InvalidStateError,
    MalformedMessageError,
)
from secagg.params import AdversaryModel
from secagg.protocol.snapshot import SnapshotRole, read_snapshot, write_snapshot
from secagg.stages import Stage
from tests.kit.private_round_scene import (
    ACTIVE,
    CURIOUS,
    LOSS,
    OTHER,
    SCHEMA,
    VICTIM,
    WRAPPING_KEY,
    Scene,
    at,
    both_models,
    planned,
    public_keys,
    update_of,
    without_noise,
)


def restored(scene: Scene, client: int, data: bytes, **options: Any) -> ClientRound:
    plan = scene.plan
    return ClientRound.from_bytes(
        data,
        plan,
        client,
        scene.counter(client),
        identity=scene.identities.get(client),
        identities=public_keys(plan),
        **options,
    )


@both_models
@pytest.mark.parametrize("key", [None, WRAPPING_KEY], ids=["plain", "wrapped"])
def test_a_round_of_clients_that_restart_after_every_message_comes_to_the_same(
    tmp_path: Path, adversary: AdversaryModel, key: bytes | None, monkeypatch: pytest.MonkeyPatch
):
    without_noise(monkeypatch)
    scene = Scene(tmp_path, planned(adversary=adversary, modulus_bits=24)).begin()
    while True:
        released = scene.exchange()
        if released is not None:
            break
        for client in scene.ids:
            scene.clients[client] = restored(scene, client, scene.clients[client].to_bytes(key), wrapping_key=key)
    true = np.add.reduce([flatten(update_of(client), SCHEMA) for client in scene.ids])
    assert np.linalg.norm(released.update - true) < 5 * 4 / scene.plan.scale(1.0) + 1e-5
    assert released.survivors == 5


@both_models
def test_a_restarted_client_answers_what_comes_again_as_before(tmp_path: Path, adversary: AdversaryModel):
    scene = Scene(tmp_path, planned(adversary=adversary)).begin()
    while True:
        stage, replies = scene.server.stage, {}
        for client in scene.ids:
            replies[client] = scene.deliver(client)
            scene.clients[client] = restored(scene, client, scene.clients[client].to_bytes())
            # The server does not know whether its message arrived; neither does this bring the round to an end, nor
            # is the update asked for a second time.
            again = scene.clients[client].receive(scene.outbound[client])
            assert again == (None if stage == "masked_input" else replies[client])
            scene.server.receive(client, replies[client] or b"")
        released = scene.close()
        if released is not None:
            break
    assert released.survivors == 5


@both_models
def test_a_client_that_crashed_before_it_counted_may_join_anew(tmp_path: Path, adversary: AdversaryModel):
    scene = Scene(tmp_path, planned(adversary=adversary)).begin()
    scene.deliver(VICTIM)
    # The process is gone, and with it its keys, which were never sent. The offer comes again.
    scene.clients[VICTIM] = scene.client(VICTIM)
    assert scene.finish().survivors == 5


@both_models
def test_a_client_that_crashed_after_the_counter_and_before_it_answered_is_out_of_the_round(
    tmp_path: Path, adversary: AdversaryModel
):
    scene = at(tmp_path, "masked_input", adversary)
    snapshot = scene.clients[VICTIM].to_bytes()
    scene.deliver(VICTIM)
    # The process is gone, and with it the masked vector; the counter is not. The task comes again to what was saved.
    with pytest.raises(CountedRoundError) as refused:
        restored(scene, VICTIM, snapshot)
    assert refused.value.reason == "the snapshot is of round 1 before it was counted, and 1 is"
    # Nor does a fresh session of the round get a vector.
    scene.clients[VICTIM] = scene.client(VICTIM)
    error = scene.refused_offer(scene.server.invitation, RoundRefusedError)
    assert (error.rule, error.offered, error.accepted) == ("round", 1, "above 1, the last one")
    assert scene.finish(silent={VICTIM}).survivors == 4
    assert scene.begin(2).finish().survivors == 5


@both_models
def test_a_client_that_crashed_while_it_counted_is_out_of_the_round_or_not_in_it(
    tmp_path: Path, adversary: AdversaryModel, monkeypatch: pytest.MonkeyPatch
):
    scene = at(tmp_path, "masked_input", adversary)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # After the new file took the name: the round is counted, and nobody knows.
        patch.setattr("dp.durable.whole_files.sync_folder", killed)
        with pytest.raises(KeyboardInterrupt):
            scene.deliver(VICTIM)
    assert scene.refused(VICTIM, scene.outbound[VICTIM], RoundRefusedError).rule == "round"
    assert scene.finish(silent={VICTIM}).survivors == 4


@both_models
def test_a_client_restored_twice_unmasks_once(tmp_path: Path, adversary: AdversaryModel):
    scene = at(tmp_path, "unmask", adversary)
    snapshot = scene.clients[VICTIM].to_bytes()
    answer = scene.deliver(VICTIM)
    # A host that keeps the older snapshot: the counter knows that the reserve was seen.
    for message in (scene.outbound[VICTIM], scene.step(ledger=())):
        scene.clients[VICTIM] = restored(scene, VICTIM, snapshot)
        error = scene.refused(VICTIM, message, RoundRefusedError)
        assert (error.rule, error.offered) == ("reserve", "a round")
    assert answer is not None


@both_models
def test_a_client_restored_after_its_answer_gives_the_same(tmp_path: Path, adversary: AdversaryModel):
    scene = at(tmp_path, "unmask", adversary)
    answer = scene.deliver(VICTIM)
    copies = [restored(scene, VICTIM, scene.clients[VICTIM].to_bytes()) for _ in range(2)]
    assert [copy.receive(scene.outbound[VICTIM]) for copy in copies] == [answer, answer]
    assert all(copy.over for copy in copies)


@both_models
def test_a_client_that_crashed_between_the_reserve_and_its_answer_is_out(
    tmp_path: Path, adversary: AdversaryModel, monkeypatch: pytest.MonkeyPatch
):
    scene = at(tmp_path, "unmask", adversary)
    snapshot = scene.clients[VICTIM].to_bytes()

    approve = ClientRound._approve

    def killed(client: ClientRound, stage: Stage) -> None:
        approve(client, stage)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ClientRound, "_approve", killed)
        # The session was begun with the genuine one.
        scene.clients[VICTIM] = restored(scene, VICTIM, snapshot)
        with pytest.raises(KeyboardInterrupt):
            scene.deliver(VICTIM)
    assert scene.counters[VICTIM]._load().witnessed == 1
    scene.clients[VICTIM] = restored(scene, VICTIM, snapshot)
    assert scene.refused(VICTIM, scene.outbound[VICTIM], RoundRefusedError).rule == "reserve"
    # The others are enough.
    assert scene.finish(silent={VICTIM}).survivors == 5


@both_models
def test_a_client_that_saw_the_reserve_and_was_saved_goes_on(tmp_path: Path, adversary: AdversaryModel):
    scene = at(tmp_path, "unmask", adversary)
    # Garbage of the right length behind a good reserve: the reserve counts as seen, the request is still awaited.
    short = {"signatures": b""} if adversary is ACTIVE else {"survivors": b""}
    with pytest.raises(MalformedMessageError):
        scene.deliver(VICTIM, scene.step(session=scene.altered(**short)))
    assert [scene.counters[client]._load().witnessed for client in (VICTIM, OTHER)] == [1, 0]
    scene.clients[VICTIM] = restored(scene, VICTIM, scene.clients[VICTIM].to_bytes())
    assert scene.finish().survivors == 5


def test_an_old_snapshot_is_refused_once_the_counter_is_past_it(tmp_path: Path):
    scene = at(tmp_path, "unmask")
    snapshot = scene.clients[VICTIM].to_bytes()
    scene.finish()
    scene.begin(2).until("unmask")
    with pytest.raises(InvalidStateError) as refused:
        restored(scene, VICTIM, snapshot)
    assert refused.value.reason == "the snapshot is of round 1, the last one counted is 2"


def test_a_snapshot_without_its_counter_is_refused(tmp_path: Path):
    # Whoever restores the session and not the counter would forget the rounds.
    scene = at(tmp_path, "unmask")
    snapshot = scene.clients[VICTIM].to_bytes()
    (tmp_path / f"counter-{VICTIM}").unlink()
    with pytest.raises(InvalidStateError):
        restored(scene, VICTIM, snapshot)


def test_a_snapshot_of_another_client_is_refused(tmp_path: Path):
    scene = at(tmp_path, "masked_input")
    with pytest.raises(InvalidStateError) as refused:
        restored(scene, OTHER, scene.clients[VICTIM].to_bytes())
    assert refused.value.reason == f"the snapshot is of client {VICTIM}, not of {OTHER}"


def test_a_snapshot_of_another_plan_is_refused(tmp_path: Path):
    scene = at(tmp_path, "masked_input")
    snapshot = scene.clients[VICTIM].to_bytes()
    other = planned(adversary=CURIOUS, epsilon=19.0)
    with pytest.raises(PlanMismatchError) as refused:
        ClientRound.from_bytes(snapshot, other, VICTIM, scene.counters[VICTIM])
    assert (refused.value.what, refused.value.offered) == ("plan", scene.plan.digest.hex())


@pytest.mark.parametrize("key", [None, WRAPPING_KEY], ids=["plain", "wrapped"])
def test_a_damaged_snapshot_is_refused_wherever_it_is_damaged(tmp_path: Path, key: bytes | None):
    scene = at(tmp_path, "masked_input")
    snapshot = scene.clients[VICTIM].to_bytes(key)
    restored(scene, VICTIM, snapshot, wrapping_key=key)
    places = {*range(60), *range(60, len(snapshot), 37), len(snapshot) - 1}
    for place in places:
        damaged = snapshot[:place] + bytes([snapshot[place] ^ 1]) + snapshot[place + 1 :]
        with pytest.raises(InvalidStateError):
            restored(scene, VICTIM, damaged, wrapping_key=key)
    for cut in (b"", snapshot[:-1], snapshot + b"\x00", snapshot[:10]):
        with pytest.raises(InvalidStateError):
            restored(scene, VICTIM, cut, wrapping_key=key)
    for nothing in (None, "text", 5):
        with pytest.raises(InvalidStateError):
            restored(scene, VICTIM, nothing, wrapping_key=key)  # type: ignore[arg-type]


def test_a_wrapped_snapshot_needs_its_key_and_shows_nothing(tmp_path: Path):
    scene = at(tmp_path, "masked_input", side_values=(LOSS,))
    snapshot = scene.clients[VICTIM].to_bytes(WRAPPING_KEY)
    for key in (None, bytes(32)):
        with pytest.raises(InvalidStateError):
            restored(scene, VICTIM, snapshot, wrapping_key=key)
    for short in (b"", b"k" * 31, "k" * 32):
        with pytest.raises(InvalidInputError):
            restored(scene, VICTIM, snapshot, wrapping_key=short)
        with pytest.raises(InvalidInputError):
            scene.clients[VICTIM].to_bytes(short)  # type: ignore[arg-type]
    # Not even what is public, which could be changed if it were not sealed.
    assert scene.plan.digest not in snapshot
    assert scene.plan.digest in scene.clients[VICTIM].to_bytes()


def test_snapshots_of_other_roles_and_versions_are_refused(tmp_path: Path):
    scene = at(tmp_path, "masked_input")
    client = scene.clients[VICTIM]
    assert client._session is not None
    content = read_snapshot(SnapshotRole.CLIENT_ROUND, client.to_bytes(), _Snapshot, None)
    newer = write_snapshot(SnapshotRole.CLIENT_ROUND, msgspec.structs.replace(content, version=VERSION + 1), None)
    with pytest.raises(InvalidStateError, match="of another version"):
        restored(scene, VICTIM, newer)
    for foreign in (
        client._session.to_bytes(),
        scene.server.to_bytes(),
        write_snapshot(SnapshotRole.CLIENT, content, None),
    ):
        with pytest.raises(InvalidStateError, match="other role"):
            restored(scene, VICTIM, foreign)


def test_a_snapshot_needs_its_identity(tmp_path: Path):
    scene = at(tmp_path, "masked_input", ACTIVE)
    snapshot = scene.clients[VICTIM].to_bytes()
    for identity in (None, scene.identities[OTHER]):
        with pytest.raises(InvalidInputError):
            ClientRound.from_bytes(
                snapshot,
                scene.plan,
                VICTIM,
                scene.counters[VICTIM],
                identity=identity,
                identities=public_keys(scene.plan),
            )
    assert scene.identities[VICTIM].seed() not in snapshot


def test_there_is_no_snapshot_before_the_offer(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS)).begin()
    with pytest.raises(InvalidStateError):
        scene.clients[VICTIM].to_bytes()
