"""fl.private.client_rounds: private rounds through a pipeline, each held to plan, counter and ledger as before."""

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dp import RoundRefusedError
from dp.ledger.records import NO_HEAD, Reserve, Settle
from dp.ledger.writer import Ledger
from fl.arrays.flatten import flatten
from fl.errors import PlanMismatchError
from fl.private import ClientRounds, PrivateSum, ServerRound
from secagg import InvalidStateError, PolicyViolationError, Stage, StrayMessageError
from secagg.pipeline import Part, ServerPipeline, decode_bundle, encode_bundle
from tests.kit.private_round_scene import (
    ACTIVE,
    ADAPTIVE,
    CURIOUS,
    SCHEMA,
    VICTIM,
    Scene,
    both_models,
    contribution_of,
    planned,
    public_keys,
    record,
    update_of,
    without_noise,
)

STEADY = {CURIOUS: 2, ACTIVE: 3}


def digest_of(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


class Rounds(Scene):
    """Private rounds through a pipeline."""

    def __init__(self, folder: Path, *, restarts: bool = False, **changes: Any) -> None:
        super().__init__(folder, planned(rounds=6, epsilon=40.0, **changes))
        self.restarts = restarts
        self.pipeline: ServerPipeline[PrivateSum] = ServerPipeline()
        self.stores = {client: self.store(client) for client in self.ids}
        self.exchanges: list[tuple[Stage, ...]] = []
        self.refused_by: dict[int, dict[bytes, Exception]] = {client: {} for client in self.ids}
        self.carry: Callable[[int, bytes], bytes] = lambda client, bundle: bundle

    def store(self, client: int) -> ClientRounds:
        return ClientRounds(
            self.plan, client, self.counter(client), self.identities.get(client), identities=public_keys(self.plan)
        )

    def round_of(self, number: int) -> ServerRound:
        late = None if self.plan.session.adversary is ACTIVE else self.ids
        return ServerRound(self.plan, self.ledger, number, late, identities=public_keys(self.plan))

    def open(self, number: int) -> None:
        self.pipeline.open(self.round_of(number), self.ids)

    def answer(self, client: int, bundle: bytes) -> bytes:
        if self.restarts:
            self.stores[client] = self.restored(client, self.stores[client].to_bytes())
        answer = self.stores[client].receive(self.carry(client, bundle))
        if answer.session is not None:
            answer.train(contribution_of(self.plan, client), digest_of(answer.session.round_number))
        self.refused_by[client] |= answer.refused
        return answer.to_bytes()

    def restored(self, client: int, data: bytes) -> ClientRounds:
        return ClientRounds.from_bytes(
            data,
            self.plan,
            client,
            self.counter(client),
            identity=self.identities.get(client),
            identities=public_keys(self.plan),
        )

    def one_exchange(self, silent: Collection[int] = ()) -> PrivateSum | None:
        if self.restarts:
            self.pipeline = ServerPipeline.from_bytes(
                self.pipeline.to_bytes(), lambda data: ServerRound.from_bytes(data, self.plan, self.ledger)
            )
        sent = self.pipeline.outgoing()
        self.exchanges.append(sent.stages)
        for address, bundle in sent.bundles.items():
            if address in silent:
                self.pipeline.lost(address)
            else:
                self.pipeline.receive(address, self.answer(address, bundle))
        return self.pipeline.advance()

    def play(self, number: int, *, last: bool = False, silent: Collection[int] = ()) -> PrivateSum:
        if self.pipeline.current is None:
            self.open(number)
        while not self.pipeline.ready:
            self.one_exchange()
        self.pipeline.deliver(digest_of(number))
        if not last:
            self.open(number + 1)
        released = self.one_exchange(silent)
        while released is None:
            released = self.one_exchange()
        return released


# --------------------------------------------------------------------------------------------------- Rounds as they are
@both_models
@pytest.mark.parametrize("restarts", [False, True])
def test_private_rounds_through_a_pipeline_are_exact_and_each_is_settled(
    tmp_path: Path, adversary: Any, restarts: bool, monkeypatch: pytest.MonkeyPatch
):
    without_noise(monkeypatch)
    rounds = Rounds(tmp_path, restarts=restarts, adversary=adversary, modulus_bits=24)
    true = np.add.reduce([flatten(update_of(client), SCHEMA) for client in rounds.ids])
    for number in (1, 2, 3):
        released = rounds.play(number, last=number == 3)
        assert released.survivors == 5
        assert np.linalg.norm(released.update - true) < 5 * 4 / rounds.plan.scale(1.0) + 1e-5
    assert len(rounds.exchanges) == 2 + 3 * STEADY[adversary]
    kinds = [type(record(line)) for line in rounds.ledger.lines_since(NO_HEAD)[1:]]
    # Each is settled before the next one is delivered, though that was offered long before.
    assert kinds == [Reserve, Settle] * 3
    assert not any(rounds.refused_by.values())
    assert [rounds.counter(client).last_round for client in rounds.ids] == [3] * 5


def test_the_clip_norm_of_a_prepared_round_is_that_of_when_it_trains(tmp_path: Path):
    rounds = Rounds(tmp_path, adversary=CURIOUS, adaptive=ADAPTIVE)
    first = rounds.play(1)
    current = rounds.pipeline.current
    assert isinstance(current, ServerRound)
    current.clip = first.next_clip()
    assert rounds.play(2, last=True).clip == first.next_clip() != first.clip


@both_models
def test_a_client_that_is_silent_in_a_round_is_in_the_next(tmp_path: Path, adversary: Any):
    rounds = Rounds(tmp_path, adversary=adversary)
    assert rounds.play(1).survivors == 5
    # Its keys for the third round ride on what it did not send.
    assert rounds.play(2, silent=[VICTIM]).survivors == 4
    assert rounds.play(3).survivors == 4
    assert rounds.play(4, last=True).survivors == 5
    assert rounds.counter(VICTIM).last_round == 4


# ------------------------------------------------------------------------------------------------- What a server tries
@both_models
def test_of_several_sessions_of_a_round_one_gets_a_vector(tmp_path: Path, adversary: Any):
    """Whatever the store has forgotten, the counter has not."""
    rounds = Rounds(tmp_path, adversary=adversary)
    twin = rounds.round_of(1)
    rounds.open(1)
    rounds.one_exchange()
    for client in rounds.ids:
        (reply,) = decode_bundle(
            rounds.stores[client].receive(encode_bundle([Part(twin.session_id, twin.invitation)])).to_bytes(), client
        )[1]
        twin.receive(client, reply.message)
    twin.close_stage()
    for client in rounds.ids:
        bundle = encode_bundle([Part(twin.session_id, twin.outbound[client])])
        (reply,) = decode_bundle(rounds.stores[client].receive(bundle).to_bytes(), client)[1]
        twin.receive(client, reply.message)
    twin.close_stage(digest_of(1))
    before = rounds.stores[VICTIM].to_bytes()
    assert rounds.play(1, last=True).survivors == 5
    bundle = encode_bundle([Part(twin.session_id, twin.outbound[VICTIM])])
    answer = rounds.stores[VICTIM].receive(bundle)
    assert answer.session is None
    assert isinstance(answer.refused[twin.session_id], StrayMessageError)
    # Restored from before the round, the store would do it again, but for the counter.
    forgetful = rounds.restored(VICTIM, before)
    assert forgetful.sessions == ()
    assert forgetful.receive(bundle).session is None


@both_models
def test_a_round_is_not_offered_again_after_it_was_counted(tmp_path: Path, adversary: Any):
    rounds = Rounds(tmp_path, adversary=adversary)
    rounds.play(1, last=True)
    again = rounds.round_of(1)
    offer = encode_bundle([Part(again.session_id, again.invitation)])
    for store in (rounds.stores[VICTIM], rounds.store(VICTIM)):
        refusal = store.receive(offer).refused[again.session_id]
        assert isinstance(refusal, RoundRefusedError)
        assert refusal.rule == "round"


def test_another_plan_or_ledger_is_refused_and_the_server_is_told(tmp_path: Path):
    rounds = Rounds(tmp_path / "ours", adversary=CURIOUS)
    other = Rounds(tmp_path / "theirs", adversary=CURIOUS, scope="ward 8")
    theirs = other.round_of(1)
    refusal = rounds.stores[VICTIM].receive(encode_bundle([Part(theirs.session_id, theirs.invitation)]))
    assert isinstance(refusal.refused[theirs.session_id], PlanMismatchError)
    # A fresh ledger in the second round: whoever was in the first refuses, and says so.
    rounds.play(1, last=True)
    rounds.ledger = Ledger.create(tmp_path / "fresh", rounds.plan.header())
    rounds.open(2)
    while not rounds.pipeline.ready:
        rounds.one_exchange()
    rounds.pipeline.deliver(digest_of(2))
    sent = rounds.pipeline.outgoing()
    for address, bundle in sent.bundles.items():
        rounds.pipeline.receive(address, rounds.answer(address, bundle))
    assert rounds.pipeline.current is not None
    assert rounds.pipeline.current.received == frozenset()
    errors = [error for refused in rounds.refused_by.values() for error in refused.values()]
    assert len(errors) == 5
    assert {type(error) for error in errors} == {RoundRefusedError}
    assert {error.rule for error in errors if isinstance(error, RoundRefusedError)} == {"extension"}


def test_a_bundle_with_two_tasks_trains_once(tmp_path: Path):
    rounds = Rounds(tmp_path, adversary=CURIOUS)
    servers = [rounds.round_of(1), rounds.round_of(2)]
    for server in servers:
        outbound = dict.fromkeys(rounds.ids, server.invitation)
        while server.stage is not Stage.MASKED_INPUT:
            for client in rounds.ids:
                bundle = encode_bundle([Part(server.session_id, outbound[client])])
                (reply,) = decode_bundle(rounds.stores[client].receive(bundle).to_bytes(), client)[1]
                server.receive(client, reply.message)
            outbound = dict(server.close_stage(digest_of(1)))
    both = encode_bundle([Part(server.session_id, server.outbound[VICTIM]) for server in servers])
    answer = rounds.stores[VICTIM].receive(both)
    assert answer.session is not None
    assert isinstance(answer.refused[servers[1].session_id], PolicyViolationError)
    answer.train(contribution_of(rounds.plan, VICTIM), digest_of(1))
    assert rounds.counter(VICTIM).last_round == 1


# ------------------------------------------------------------------------------------------------ Saved and restored
@both_models
@pytest.mark.parametrize("killed_at", range(1, 7))
def test_a_host_killed_between_save_and_send_is_out_of_its_round_at_most(
    tmp_path: Path, adversary: Any, killed_at: int
):
    rounds, number = Rounds(tmp_path, adversary=adversary), 0
    real = rounds.answer

    def answer(client: int, bundle: bytes) -> bytes:
        nonlocal number
        if client != VICTIM:
            return real(client, bundle)
        number += 1
        if number == killed_at:
            before = rounds.stores[client].to_bytes()
            real(client, bundle)
            # Killed before it saved: what it has is from before, and what it counted is on the disk.
            rounds.stores[client] = rounds.restored(client, before)
        return real(client, bundle)

    rounds.answer = answer  # type: ignore[method-assign]
    survivors = [rounds.play(1).survivors, rounds.play(2, last=True).survivors]
    trained = {3: 0, 3 + STEADY[adversary]: 1}
    expected = [5, 5]
    if killed_at in trained:
        expected[trained[killed_at]] = 4
    # Before it helps to unmask, the reserve is witnessed once: a restored client does not help a second time.
    assert survivors == expected or (killed_at == 2 + STEADY[adversary] and survivors == [5, 5])
    assert rounds.ledger.unsettled == ()


def test_a_snapshot_is_of_one_client_and_plan(tmp_path: Path):
    rounds = Rounds(tmp_path / "one", adversary=CURIOUS)
    rounds.open(1)
    rounds.one_exchange()
    saved = rounds.stores[VICTIM].to_bytes(b"k" * 32)
    with pytest.raises(InvalidStateError):
        rounds.restored(VICTIM, saved)
    with pytest.raises(InvalidStateError, match="of client"):
        rounds.restored(rounds.ids[0], rounds.stores[VICTIM].to_bytes())
    other = Rounds(tmp_path / "other", adversary=CURIOUS, scope="ward 8")
    with pytest.raises(PlanMismatchError):
        other.restored(VICTIM, rounds.stores[VICTIM].to_bytes())
    assert repr(rounds.stores[VICTIM]) == f"<ClientRounds of client {VICTIM}, 1 open>"
