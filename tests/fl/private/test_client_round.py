"""fl.private.client_round: what a caller may get wrong and mend, what comes again, and what is restored."""

import copy
import math
import pickle
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import dp.ledger.round_counter
from dp.ledger.errors import LedgerLockedError, RoundRefusedError
from dp.ledger.file import lock_exclusively
from dp.ledger.round_counter import RoundCounter
from dp.vocabulary import Unit
from fl.arrays.flatten import flatten
from fl.errors import PlanMismatchError, SchemaMismatchError
from fl.private.client_round import ClientRound, _Snapshot
from fl.private.messages import Step, encode_round_message
from secagg.errors import (
    InvalidInputError,
    InvalidParameterError,
    InvalidStateError,
    LocalError,
    MalformedMessageError,
    StateSpentError,
)
from secagg.params import AdversaryModel
from secagg.primitives.signing import Identity
from secagg.protocol.messages import AbortCode
from secagg.protocol.snapshot import SnapshotRole, read_snapshot, write_snapshot
from secagg.stages import Stage
from tests.kit.private_round_scene import (
    ACTIVE,
    CURIOUS,
    LOSS,
    MODEL,
    OTHER,
    SCHEMA,
    VICTIM,
    Scene,
    both_models,
    planned,
    public_keys,
    update_of,
    without_noise,
)

WRAPPING_KEY = bytes(range(32))


def at(folder: Path, stage: str, adversary: AdversaryModel = CURIOUS, **changes: Any) -> Scene:
    return Scene(folder, planned(adversary=adversary, **changes)).begin().until(stage)


# ------------------------------------------------------------------------------------------------- A round as it is
@both_models
def test_a_client_says_where_it_stands(tmp_path: Path, adversary: AdversaryModel):
    scene = Scene(tmp_path, planned(adversary=adversary)).begin()
    client = scene.clients[VICTIM]
    seen = []
    for stage in ("advertise_keys", "share_keys", "masked_input", "consistency", "unmask"):
        if stage == "consistency" and adversary is CURIOUS:
            continue
        seen.append((client.phase, client.round_number, client.wants_input, client.over))
        scene.exchange()
    middle = [("CheckingConsistency", 1, False, False), ("Unmasking", 1, False, False)]
    assert seen == [
        ("awaiting the offer", 0, False, False),
        ("SharingKeys", 1, False, False),
        ("MaskingInput", 1, True, False),
        *(middle if adversary is ACTIVE else [("AwaitingSurvivors", 1, False, False)]),
    ]
    assert (client.phase, client.over, client.wants_input) == ("over", True, False)
    assert repr(client) == f"<ClientRound 1 of client {VICTIM}, over>"
    assert client.clip == 1.0


def test_no_text_shows_what_is_handed_in(tmp_path: Path):
    scene = at(tmp_path, "masked_input", side_values=(LOSS,), weight_cap=50)
    client = scene.clients[VICTIM]
    secret = 0.123456789
    update = {name: np.full_like(array, secret) for name, array in MODEL.items()}
    client.receive(scene.outbound[VICTIM], update=update, weight=37, side_values={"loss": secret})
    snapshot = client.to_bytes()
    for text in (repr(client), str(client), repr(client._session), repr(snapshot)):
        assert "0.1234" not in text
    assert np.float64(secret).tobytes() not in snapshot


def test_a_client_is_not_copied(tmp_path: Path):
    client = Scene(tmp_path, planned(adversary=CURIOUS)).client(VICTIM)
    for way in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(InvalidStateError):
            way(client)


# ----------------------------------------------------------------------------------------------- What the caller mends
SIDES: dict[str, Any] = {"side_values": {"loss": 1.0}}

BAD_INPUT: dict[str, tuple[dict[str, Any], type[LocalError], str]] = {
    "nothing": ({}, InvalidInputError, "update"),
    "both": ({"update": update_of(1), "examples": [update_of(1)]}, InvalidInputError, "update"),
    "examples": ({"examples": [update_of(1)]}, InvalidInputError, "updates"),
    "another shape": (
        {"update": {"b": np.zeros(3), "w": np.zeros((3, 4))}} | SIDES,
        SchemaMismatchError,
        "shape of array 'w'",
    ),
    "another model": ({"update": {}} | SIDES, SchemaMismatchError, "arrays"),
    "nan": ({"update": {"b": np.full(3, math.nan), "w": np.zeros((4, 3))}} | SIDES, InvalidInputError, "array 'b'"),
    "inf": ({"update": {"b": np.full(3, math.inf), "w": np.zeros((4, 3))}} | SIDES, InvalidInputError, "array 'b'"),
    "weight": ({"update": MODEL, "weight": 51}, InvalidInputError, "weight"),
    "negative": ({"update": MODEL, "weight": -1}, InvalidInputError, "weight"),
    "bool": ({"update": MODEL, "weight": True}, InvalidInputError, "weight"),
    "float": ({"update": MODEL, "weight": 3.0}, InvalidInputError, "weight"),
    "no side value": ({"update": MODEL, "weight": 3, "side_values": {}}, InvalidInputError, "side_values"),
    "range": ({"update": MODEL, "weight": 3, "side_values": {"loss": 5.1}}, InvalidInputError, "side value loss"),
    "undeclared": (
        {"update": MODEL, "side_values": {"loss": 1.0, "accuracy": 1.0}},
        InvalidInputError,
        "side_values",
    ),
    "model digest": (
        {"update": MODEL, "weight": 3, "side_values": {"loss": 1.0}, "model_digest": b"short"},
        InvalidInputError,
        "model_digest",
    ),
}


@pytest.mark.parametrize(("given", "failure", "field"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_what_is_handed_in_wrongly_is_refused_and_may_be_handed_in_again(
    tmp_path: Path, given: dict[str, Any], failure: type[LocalError], field: str
):
    scene = at(tmp_path, "masked_input", side_values=(LOSS,), weight_cap=50)
    client = scene.clients[VICTIM]
    before, files = client.to_bytes(), scene.files()
    with pytest.raises(failure) as refused:
        client.receive(scene.outbound[VICTIM], **given)
    assert (getattr(refused.value, "field", None) or getattr(refused.value, "what", None)) == field
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)
    # Nothing was spent: the same client takes part as if nothing had been.
    assert client.to_bytes() == before
    assert scene.files() == files
    assert scene.finish().survivors == 5


def test_an_update_is_refused_where_examples_are_protected(tmp_path: Path):
    scene = at(tmp_path, "masked_input", unit=Unit.EXAMPLE, examples_per_client=3)
    client, message = scene.clients[VICTIM], scene.outbound[VICTIM]
    for given, field in (
        ({"update": MODEL}, "update"),
        ({}, "update"),
        ({"examples": [MODEL] * 4}, "updates"),
        ({"examples": [MODEL], "weight": 3}, "weight"),
        ({"examples": [MODEL], "side_values": {"loss": 1.0}}, "weight"),
    ):
        with pytest.raises(InvalidInputError) as refused:
            client.receive(message, **given)  # type: ignore[arg-type]
        assert refused.value.field == field
    assert client.receive(message, examples=[MODEL] * 3) is not None


@pytest.mark.parametrize(
    ("arguments", "failure"),
    [
        ((None, None), InvalidParameterError),
        ((Identity(bytes(32)), {}), InvalidParameterError),
        ((None, "known"), InvalidInputError),
        ((Identity(bytes(32)), "known"), InvalidInputError),
        ((Identity(bytes(32)), [1, 2]), InvalidParameterError),
    ],
    ids=["nobody known", "nobody known but oneself", "no key", "another key", "no mapping"],
)
def test_identities_that_do_not_fit_are_found_before_a_round_is_counted(
    tmp_path: Path, arguments: tuple[Any, Any], failure: type[LocalError]
):
    plan = planned(adversary=ACTIVE)
    identity, identities = arguments
    with pytest.raises(failure):
        ClientRound(
            plan,
            VICTIM,
            RoundCounter(tmp_path / "counter", plan.scope, 3),
            identity,
            public_keys(plan) if identities == "known" else identities,
        )
    assert not (tmp_path / "counter").exists()


@pytest.mark.parametrize("client", [-1, 2**64, True, "7", None, 7.0])
def test_what_is_no_client_is_refused(tmp_path: Path, client: Any):
    plan = planned(adversary=CURIOUS)
    with pytest.raises(InvalidParameterError):
        ClientRound(plan, client, RoundCounter(tmp_path / "counter", plan.scope, 3))


def test_an_identity_is_refused_where_the_plan_needs_none(tmp_path: Path):
    plan = planned(adversary=CURIOUS)
    with pytest.raises(InvalidInputError):
        ClientRound(plan, VICTIM, RoundCounter(tmp_path / "counter", plan.scope, 3), Identity(bytes(32)))


def test_the_counter_of_another_budget_refuses(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS))
    scene.counters[VICTIM] = RoundCounter(tmp_path / "other", "ward 8", 3)
    scene.begin()
    error = scene.refused_offer(scene.outbound[VICTIM], RoundRefusedError)
    assert (error.rule, error.offered, error.accepted) == ("scope", "ward 7", "ward 8")
    assert not (tmp_path / "other").exists()


def test_a_counter_of_fewer_rounds_refuses(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS))
    scene.counters[VICTIM] = RoundCounter(tmp_path / "other", "ward 7", 1)
    scene.begin(2)
    assert scene.refused_offer(scene.outbound[VICTIM], RoundRefusedError).rule == "rounds"


@both_models
@pytest.mark.parametrize("stage", ["advertise_keys", "unmask"])
def test_a_counter_that_somebody_else_holds_refuses_and_may_be_tried_again(
    tmp_path: Path, adversary: AdversaryModel, stage: str
):
    scene = at(tmp_path, stage, adversary)
    before = scene.files()
    path = tmp_path / f"counter-{VICTIM}.lock"
    with path.open("ab") as held:
        lock_exclusively(held.fileno(), path, "held by the test")
        with pytest.raises(LedgerLockedError):
            scene.deliver(VICTIM)
    assert scene.files() == before
    assert not scene.clients[VICTIM].over
    assert scene.finish().survivors == 5


# -------------------------------------------------------------------------------------------------- What comes again
@both_models
def test_every_message_may_come_twice(tmp_path: Path, adversary: AdversaryModel):
    scene = Scene(tmp_path, planned(adversary=adversary)).begin()
    earlier: list[bytes] = []
    while True:
        stage = scene.server.stage
        message, again = scene.outbound[VICTIM], None
        reply = scene.deliver(VICTIM)
        assert reply is not None
        files = scene.files()
        again = scene.clients[VICTIM].receive(message)
        # The masked input is not kept: it is large, and its loss is a dropout like any other.
        assert again == (None if stage == "masked_input" else reply)
        for old in earlier:
            assert scene.clients[VICTIM].receive(old) is None
        assert scene.files() == files
        earlier.append(message)
        scene.server.receive(VICTIM, reply)
        released = None
        for client in scene.ids:
            if client != VICTIM:
                answer = scene.deliver(client)
                assert answer is not None
                scene.server.receive(client, answer)
        released = scene.close()
        if released is not None:
            break
    assert released.survivors == 5
    assert len(earlier) == (5 if adversary is ACTIVE else 4)


@both_models
def test_an_answer_to_unmasking_is_given_again_and_not_to_others(tmp_path: Path, adversary: AdversaryModel):
    scene = at(tmp_path, "unmask", adversary)
    answer = scene.deliver(VICTIM)
    assert scene.deliver(VICTIM) == answer
    with pytest.raises((StateSpentError, MalformedMessageError)):
        scene.deliver(VICTIM, encode_round_message(Step((), b"another")))


# ----------------------------------------------------------------------------------------------------------- Leaving
@both_models
@pytest.mark.parametrize("stage", ["share_keys", "masked_input", "unmask"])
def test_a_client_may_leave(tmp_path: Path, adversary: AdversaryModel, stage: str):
    scene = at(tmp_path, stage, adversary)
    client = scene.clients[VICTIM]
    message = client.leave()
    assert message is not None
    scene.server.receive(VICTIM, message)
    assert scene.server._session.aborted == {VICTIM: AbortCode.LEAVING}
    assert client.over
    assert client.phase == "over"
    with pytest.raises(StateSpentError):
        scene.deliver(VICTIM)
    with pytest.raises(InvalidStateError):
        client.to_bytes()
    assert scene.finish(silent={VICTIM}).survivors == (5 if stage == "unmask" else 4)


def test_a_client_may_leave_before_it_is_asked(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS)).begin()
    assert scene.clients[VICTIM].leave() is None
    before = scene.files()
    with pytest.raises(StateSpentError):
        scene.deliver(VICTIM)
    assert scene.files() == before
    assert scene.clients[VICTIM].phase == "over"


@both_models
def test_a_server_may_end_the_round(tmp_path: Path, adversary: AdversaryModel):
    scene = at(tmp_path, "share_keys", adversary)
    assert scene.deliver(VICTIM, scene.server.abort_message()) is None
    assert scene.clients[VICTIM].over


# --------------------------------------------------------------------------------------------------------- Snapshots
def restored(scene: Scene, client: int, data: bytes, **options: Any) -> ClientRound:
    plan = scene.plan
    return ClientRound.from_bytes(
        data, plan, client, scene.counter(client), scene.identities.get(client), public_keys(plan), **options
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
def test_a_client_that_crashed_after_the_counter_and_before_it_answered_is_out_of_the_round(
    tmp_path: Path, adversary: AdversaryModel
):
    scene = Scene(tmp_path, planned(adversary=adversary)).begin()
    scene.deliver(VICTIM)
    # The process is gone, and with it its keys; the counter is not. The offer comes again, and so does a fresh one.
    scene.clients[VICTIM] = scene.client(VICTIM)
    error = scene.refused_offer(scene.outbound[VICTIM], RoundRefusedError)
    assert (error.rule, error.offered, error.accepted) == ("round", 1, "above 1, the last one")
    assert scene.finish(silent={VICTIM}).survivors == 4
    assert scene.begin(2).finish().survivors == 5


@both_models
def test_a_client_that_crashed_while_it_counted_is_out_of_the_round_or_not_in_it(
    tmp_path: Path, adversary: AdversaryModel, monkeypatch: pytest.MonkeyPatch
):
    scene = Scene(tmp_path, planned(adversary=adversary)).begin()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # After the new file took the name: the round is counted, and nobody knows.
        patch.setattr(dp.ledger.round_counter, "sync_folder", killed)
        with pytest.raises(KeyboardInterrupt):
            scene.deliver(VICTIM)
    for again in (scene.clients[VICTIM], scene.client(VICTIM)):
        with pytest.raises(RoundRefusedError) as refused:
            again.receive(scene.outbound[VICTIM])
        assert refused.value.rule == "round"


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
    scene = at(tmp_path, "masked_input")
    snapshot = scene.clients[VICTIM].to_bytes()
    scene.finish()
    scene.begin(2).exchange()
    with pytest.raises(InvalidStateError) as refused:
        restored(scene, VICTIM, snapshot)
    assert refused.value.reason == "the snapshot is of round 1, the last one counted is 2"


def test_a_snapshot_without_its_counter_is_refused(tmp_path: Path):
    # Whoever restores the session and not the counter would forget the rounds.
    scene = at(tmp_path, "masked_input")
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
    newer = write_snapshot(SnapshotRole.CLIENT_ROUND, msgspec.structs.replace(content, version=2), None)
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
                snapshot, scene.plan, VICTIM, scene.counters[VICTIM], identity, public_keys(scene.plan)
            )
    assert scene.identities[VICTIM].seed() not in snapshot


def test_there_is_no_snapshot_before_the_offer(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS)).begin()
    with pytest.raises(InvalidStateError):
        scene.clients[VICTIM].to_bytes()


def test_messages_are_decoded_before_anything_else(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS)).begin()
    for garbage in (b"", b"flPR\x01", b"\x00" * 50):
        with pytest.raises(MalformedMessageError):
            scene.deliver(VICTIM, garbage)
    assert scene.finish().survivors == 5
