"""Whole sessions over bytes: the sum is exact whoever leaves, and garbage costs nothing."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from secagg import (
    AbortCode,
    AdversaryModel,
    ClientPolicy,
    ClientSession,
    MalformedMessageError,
    RemoteError,
    Result,
    ServerSession,
    StrayMessageError,
    Suite,
    UnexpectedMessageError,
)
from secagg.primitives.packing import word_dtype
from tests.kit.sessions import (
    CURIOUS,
    IDS,
    MODEL,
    STAGES,
    A,
    B,
    Live,
    at_stage,
    make_params,
    models,
    stages_of,
)


@models
@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("bits", [1, 13, 32, 64])
def test_the_sum_is_exact(adversary: AdversaryModel, suite: Suite, bits: int):
    live = Live(make_params(adversary, suite=suite, modulus_bits=bits))
    result = live.run()
    live.check(result)
    assert result.survivors == set(IDS[:5])
    assert not result.culprits
    assert result.sum.dtype == word_dtype(bits)


@models
@pytest.mark.parametrize("stage", STAGES)
def test_clients_may_leave_at_any_stage(adversary: AdversaryModel, stage: str):
    live = Live(make_params(adversary, n=6))
    # n = 6 and t = 3: four must stay.
    result = live.run({stage: IDS[:2]} if stage in stages_of(adversary) else {"unmask": IDS[:2]})
    live.check(result)
    before_masking = STAGES.index(stage) <= STAGES.index("masked_input")
    assert result.survivors == (set(IDS[2:6]) if before_masking else set(IDS[:6]))


@models
def test_a_model_digest_is_no_part_of_the_sum(adversary: AdversaryModel):
    live = at_stage(Live(make_params(adversary)), "masked_input")
    live.collect()
    other = Live(make_params(adversary))
    while other.server.stage != "masked_input":
        other.collect()
        other.outbound = other.server.close_stage()
    with pytest.raises(RemoteError, match="another model digest"):
        other.server.receive(
            A, other.clients[A].receive(other.outbound[A], vector=other.vectors[A], model_digest=MODEL)
        )


def test_the_input_is_not_changed():
    live = Live(make_params())
    before = {client: vector.copy() for client, vector in live.vectors.items()}
    live.run()
    for client, vector in live.vectors.items():
        assert vector.tolist() == before[client].tolist()


def test_wider_integers_are_taken_if_their_values_fit():
    live = at_stage(Live(make_params()), "masked_input")
    live.vectors[A] = live.vectors[A].astype(np.int64)
    live.vectors[B] = live.vectors[B].astype(">u4")
    live.check(live.run())


@models
def test_garbage_costs_nothing_on_either_side(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    strangers = Live(make_params(adversary))
    strangers.server = ServerSession(strangers.params, IDS[:5], strangers.public_keys or None)

    def throw() -> None:
        junk = [b"", b"SAGG", bytes(1000)]
        with pytest.raises(StrayMessageError):
            live.server.receive(B, strangers.server.abort_message())
        for data in (*junk, live.server.invitation[:-1]):
            with pytest.raises(MalformedMessageError):
                live.clients[A].receive(data, vector=live.vectors[A], model_digest=MODEL)
        for data in junk:
            with pytest.raises(MalformedMessageError):
                live.server.receive(A, data)

    result = live.run(between=throw)
    live.check(result)
    assert A in result.survivors
    assert set(result.culprits) == {A}  # a fault is noted, and its sender still takes part


@models
def test_leaving_and_aborting(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    assert ClientSession(A, live.policy, live.identities.get(A)).leave() is None
    live.collect()
    goodbye = live.clients[A].leave(AbortCode.POLICY)
    assert live.clients[A].over
    live.server.receive(A, goodbye)
    assert live.server.aborted == {A: AbortCode.POLICY}
    live.close()
    live.check(live.run({"share_keys": [A]}))

    live = Live(make_params(adversary))
    live.collect()
    assert live.clients[B].receive(live.server.abort_message(AbortCode.TOO_FEW_CLIENTS)) is None
    assert live.clients[B].aborted is AbortCode.TOO_FEW_CLIENTS
    assert live.clients[B].over
    with pytest.raises(UnexpectedMessageError):
        live.server.receive(1, goodbye)


def test_clients_that_arrive_on_several_threads_lose_no_word_of_the_sum():
    # Large enough that numpy lets other threads run while it adds.
    params = make_params(CURIOUS, n=8, vector_length=2_000_000, modulus_bits=32)
    vectors = {client: np.full(params.vector_length, client + 1, np.uint32) for client in range(8)}
    policy = ClientPolicy(adversary=CURIOUS, corrupt_fraction=0.0)
    server = ServerSession(params, range(8))
    clients = {client: ClientSession(client, policy) for client in vectors}
    outbound: object = dict.fromkeys(vectors, server.invitation)
    while not isinstance(outbound, Result):
        replies = {c: clients[c].receive(message, vector=vectors[c]) for c, message in outbound.items()}
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(server.receive, replies, replies.values()))
        outbound = server.close_stage()
    assert (outbound.sum == 36).all()


@models
def test_everyone_in_a_session_has_its_context_and_no_other_session_has(adversary: AdversaryModel):
    live, other = Live(make_params(adversary)), Live(make_params(adversary, round_number=7))
    assert live.clients[A].context is None
    assert live.clients[A].params is None
    assert live.clients[A].session_id is None
    assert not live.clients[A].about_to_unmask
    assert live.server.roster_hash is None
    for each in (live, other):
        at_stage(each, "share_keys")
    assert {client.context for client in live.clients.values()} == {live.server.context}
    assert live.clients[A].params == live.server.params
    assert live.server.context != other.server.context
    assert live.clients[A].session_id == live.server.session_id
    assert len(live.server.roster_hash) == 32
    assert live.server.roster_hash != other.server.roster_hash


@models
@pytest.mark.parametrize("suite", Suite)
def test_an_executor_gives_the_same_sum(adversary: AdversaryModel, suite: Suite, monkeypatch: pytest.MonkeyPatch):
    # Shards of 64 bytes: the 300 words of 16 bits are ten of them.
    monkeypatch.setattr("secagg.primitives.masking.SHARD_BYTES", 64)
    params = make_params(adversary, n=6, suite=suite, vector_length=300)
    with ThreadPoolExecutor(3) as pool:
        live = Live(params, executor=pool)
        result = live.run({"masked_input": [A], "unmask": [B]})
    live.check(result)
    alone = Live(params)
    assert alone.run({"masked_input": [A], "unmask": [B]}).sum.tolist() == result.sum.tolist()


def test_an_executor_is_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("secagg.primitives.masking.SHARD_BYTES", 64)
    submitted = []

    class Counting(ThreadPoolExecutor):
        def submit(self, function, /, *arguments, **named):
            submitted.append(function.__name__)
            return super().submit(function, *arguments, **named)

    with Counting(2) as pool:
        live = Live(make_params(vector_length=100), executor=pool)
        live.check(live.run())
    # 100 words of 16 bits are four shards, for five clients and the server.
    assert submitted == ["sum_masks"] * 4 * 6
