"""Whole sessions over bytes: dropouts, redelivery, late answers, executors, and the simulator."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from secagg import (
    SERVER,
    AbortCode,
    AdversaryModel,
    ClientPolicy,
    ClientSession,
    Identity,
    InvalidInputError,
    InvalidParameterError,
    InvalidStateError,
    MalformedMessageError,
    PolicyViolationError,
    RemoteError,
    Result,
    ServerSession,
    SessionParams,
    StateSpentError,
    Suite,
    TooFewClientsError,
    UnexpectedMessageError,
    simulate,
)
from secagg.primitives.packing import word_dtype
from secagg.protocol.messages import SurvivorSet, largest_message_bytes
from secagg.protocol.wire import encode
from tests.vectors.live import IDS, MODEL, Live, make_params

ACTIVE, CURIOUS = AdversaryModel.ACTIVE, AdversaryModel.HONEST_BUT_CURIOUS
MODELS = pytest.mark.parametrize("adversary", AdversaryModel, ids=lambda model: model.name)
STAGES = ("advertise_keys", "share_keys", "masked_input", "consistency", "unmask")
A, B, C, D, E = IDS[:5]


def stages_of(adversary: AdversaryModel) -> tuple[str, ...]:
    return STAGES if adversary is ACTIVE else tuple(stage for stage in STAGES if stage != "consistency")


def at_stage(live: Live, stage: str) -> Live:
    while live.server.stage != stage:
        live.collect()
        live.close()
    return live


# --------------------------------------------------------------------------------------------- Whole sessions
@MODELS
@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("bits", [1, 13, 32, 64])
def test_the_sum_is_exact(adversary: AdversaryModel, suite: Suite, bits: int):
    live = Live(make_params(adversary, suite=suite, modulus_bits=bits))
    result = live.run()
    live.check(result)
    assert result.survivors == set(IDS[:5])
    assert not result.culprits
    assert result.sum.dtype == word_dtype(bits)


@MODELS
@pytest.mark.parametrize("stage", STAGES)
def test_clients_may_leave_at_any_stage(adversary: AdversaryModel, stage: str):
    live = Live(make_params(adversary, n=6))
    # n = 6 and t = 3: four must stay.
    result = live.run({stage: IDS[:2]} if stage in stages_of(adversary) else {"unmask": IDS[:2]})
    live.check(result)
    before_masking = STAGES.index(stage) <= STAGES.index("masked_input")
    assert result.survivors == (set(IDS[2:6]) if before_masking else set(IDS[:6]))


@MODELS
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


# -------------------------------------------------------------------------------------------- Client sessions
@MODELS
def test_phases_follow_each_other(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    session = live.clients[A]
    phases = []

    def look() -> None:
        phases.append((session.phase, session.wants_input, session.over))

    live.run(between=look)
    look()
    middle = [("CheckingConsistency", False, False), ("Unmasking", False, False)]
    assert phases == [
        ("awaiting the invitation", False, False),
        ("SharingKeys", False, False),
        ("MaskingInput", True, False),
        *(middle if adversary is ACTIVE else [("AwaitingSurvivors", False, False)]),
        ("over", False, True),
    ]


@MODELS
def test_the_last_message_may_come_again_and_gets_the_same_reply_but_for_the_masked_input(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    replies = 0
    while live.result is None:
        for client, message in live.outbound.items():
            stage = live.server.stage
            reply = live.answer(client, message)
            again = [live.clients[client].receive(form(message)) for form in (bytes, bytearray, memoryview)]
            assert again == [None if stage == "masked_input" else reply] * 3
            replies += 1
            live.server.receive(client, reply)
        live.close()
    live.check(live.result)
    assert replies == 5 * len(stages_of(adversary))


@MODELS
def test_an_older_message_that_comes_again_changes_nothing(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    seen: list[bytes] = []

    def again() -> None:
        for message in seen[:-1]:
            assert live.clients[A].receive(message) is None
        seen.append(live.outbound[A])

    live.check(live.run(between=again))
    assert len(seen) == len(stages_of(adversary))
    assert [live.clients[A].receive(message) for message in seen[:-1]] == [None] * (len(seen) - 1)


@MODELS
def test_a_message_out_of_turn_ends_the_session(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    session = live.clients[A]
    live.collect()
    early = encode(SurvivorSet(b"\x1f", 5), live.params.suite, live.rand("session", 16))
    with pytest.raises(UnexpectedMessageError) as caught:
        session.receive(early)
    assert caught.value.culprit is SERVER
    assert (caught.value.received, caught.value.expected) == ("SurvivorSet", "KeyRoster")
    assert session.over
    live.close()
    with pytest.raises(StateSpentError):
        session.receive(live.outbound[A])


@MODELS
def test_a_failing_executor_ends_the_session_of_its_client_alone(adversary: AdversaryModel):
    live = at_stage(Live(make_params(adversary)), "masked_input")
    broken = ThreadPoolExecutor(1)
    broken.shutdown()
    live.clients[A]._executor = broken
    with pytest.raises(RuntimeError):
        live.answer(A, live.outbound[A])
    assert live.clients[A].over
    assert not live.clients[A].wants_input
    live.clients[A].to_bytes()
    with pytest.raises(StateSpentError):
        live.answer(A, live.outbound[A])
    live.check(live.run({"masked_input": [A]}))


@MODELS
def test_a_missing_or_unusable_input_costs_nothing(adversary: AdversaryModel):
    live = at_stage(Live(make_params(adversary)), "masked_input")
    session, message, good = live.clients[A], live.outbound[A], live.vectors[A]
    too_large = good.copy()
    too_large[0] = 2**13
    for vector in (
        None,
        good[1:],
        good.astype(np.float64),
        good.tolist(),
        too_large,
        -good.astype(np.int64) - 1,
        good[None],
    ):
        with pytest.raises(InvalidInputError, match="vector"):
            session.receive(message, vector=vector, model_digest=MODEL)
        assert session.wants_input
    for digest in (b"", MODEL + b"x", bytearray(MODEL), None):
        with pytest.raises(InvalidInputError, match="model_digest"):
            session.receive(message, vector=good, model_digest=digest)
        assert session.wants_input
    live.check(live.run())


def test_wider_integers_are_taken_if_their_values_fit():
    live = at_stage(Live(make_params()), "masked_input")
    live.vectors[A] = live.vectors[A].astype(np.int64)
    live.vectors[B] = live.vectors[B].astype(">u4")
    live.check(live.run())


def test_what_is_no_bytes_is_refused_without_harm():
    live = Live(make_params())
    for data in (None, "text", 5, [1, 2]):
        with pytest.raises(InvalidInputError, match="data"):
            live.clients[A].receive(data)
        with pytest.raises(InvalidInputError, match="data"):
            live.server.receive(A, data)
    live.check(live.run())


@MODELS
def test_garbage_costs_nothing_on_either_side(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    strangers = Live(make_params(adversary))
    strangers.server = ServerSession(strangers.params, IDS[:5], strangers.public_keys or None)

    def throw() -> None:
        junk = [b"", b"SAGG", bytes(1000), strangers.server.abort_message()]
        for data in (*junk[:3], live.server.invitation[:-1]):
            with pytest.raises(MalformedMessageError):
                live.clients[A].receive(data, vector=live.vectors[A], model_digest=MODEL)
        for data in junk:
            with pytest.raises(MalformedMessageError):
                live.server.receive(A, data)

    result = live.run(between=throw)
    live.check(result)
    assert A in result.survivors
    assert set(result.culprits) == {A}  # a fault is noted, and its sender still takes part


def test_the_policy_decides_and_the_session_is_over():
    live = Live(make_params(), min_cohort=6)
    with pytest.raises(PolicyViolationError) as caught:
        live.answer(A, live.outbound[A])
    assert caught.value.rule == "cohort_size"
    assert live.clients[A].over
    with pytest.raises(StateSpentError):
        live.answer(A, live.outbound[A])


@MODELS
@pytest.mark.parametrize("changes", [{"n": 8}, {"vector_length": 4000}], ids=["shares", "vector"])
def test_the_policy_bounds_the_largest_message(adversary: AdversaryModel, changes: dict):
    params = make_params(adversary, **changes)
    largest = 0
    for terms, refused in ((2**30, False), (0, False), (-1, True)):
        live = Live(params, max_message_bytes=terms if terms > 0 else largest + terms)
        if refused:
            with pytest.raises(PolicyViolationError) as caught:
                live.answer(A, live.outbound[A])
            assert (caught.value.rule, caught.value.offered) == ("max_message_bytes", largest)
            continue
        sent = []
        live.check(live.run(between=lambda: sent.extend(map(len, live.outbound.values()))))  # noqa: B023 (runs at once)
        # The bound is a limit on what is parsed: a little above the longest message that is really sent.
        largest = largest_message_bytes(params)
        assert max(sent) <= largest


def test_an_identity_that_does_not_fit_is_refused_at_once():
    live = Live(make_params())
    for identity in (None, Identity.generate(), live.identities[B]):
        with pytest.raises(InvalidInputError, match="identity"):
            ClientSession(A, live.policy, identity)
    curious = Live(make_params(CURIOUS))
    with pytest.raises(InvalidInputError, match="identity"):
        ClientSession(A, curious.policy, Identity.generate())


@pytest.mark.parametrize("client", [-1, 2**64, True, "1", None, 1.0, np.uint64(1)])
def test_an_id_is_an_integer_of_64_bits(client: object):
    live = Live(make_params(CURIOUS))
    with pytest.raises(InvalidParameterError, match="client"):
        ClientSession(client, live.policy)


@MODELS
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


def test_sessions_are_neither_copied_nor_pickled_and_show_no_secret():
    live = at_stage(Live(make_params()), "masked_input")
    session = live.clients[A]
    for copying in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(InvalidStateError):
            copying(session)
        with pytest.raises(InvalidStateError):
            copying(session._state)
    assert repr(session) == f"<ClientSession of client {A}, MaskingInput>"
    assert repr(session._state) == "<MaskingInput>"
    assert repr(session._state._peek()) == "<Shared>"
    live.check(live.run())


# -------------------------------------------------------------------------------------------- Server sessions
@MODELS
def test_too_few_answers_leave_the_round_open_and_a_late_one_still_makes_it(adversary: AdversaryModel):
    live = Live(make_params(adversary, n=6))
    for stage in stages_of(adversary):
        assert live.server.stage == stage
        present = list(live.outbound)
        late = present[0]
        # Four are needed to the end; three answer in time.
        live.collect(silent=[late, *present[4:]])
        assert not live.server.can_close
        with pytest.raises(TooFewClientsError) as caught:
            live.close()
        assert caught.value.stage == stage
        assert caught.value.remaining < caught.value.needed
        assert live.server.stage == stage
        live.server.receive(late, live.answer(late, live.outbound[late]))
        assert live.server.can_close
        live.close()
    live.check(live.result)
    assert len(live.result.survivors) == 4


@MODELS
def test_a_second_message_and_a_stranger_are_refused_and_nobody_is_at_fault(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    while live.result is None:
        reply = live.answer(A, live.outbound[A])
        live.server.receive(A, reply)
        for sender in (A, 12345):
            with pytest.raises(UnexpectedMessageError):
                live.server.receive(sender, reply)
        live.collect(silent=[A])
        live.close()
    live.check(live.result)
    assert not live.result.culprits


@pytest.mark.parametrize("sender", [-1, 2**64, 1.0, "1", np.int64(1), True])
def test_a_sender_is_a_client_id(sender: object):
    with pytest.raises(InvalidParameterError, match="sender"):
        Live(make_params()).server.receive(sender, b"")


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


@MODELS
def test_one_message_that_arrives_twice_at_once_is_answered_once(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    live.collect()
    live.close()
    with ThreadPoolExecutor(8) as pool:
        replies = set(pool.map(live.clients[A].receive, [live.outbound[A]] * 8))
    assert len(replies) == 1
    assert not live.clients[A].over


@MODELS
def test_a_client_that_left_gives_no_reply_again(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    first = live.outbound[A]
    live.answer(A, first)
    live.clients[A].leave()
    with pytest.raises(StateSpentError):
        live.clients[A].receive(first)


def test_what_a_masked_array_hides_is_not_summed():
    live = Live(make_params(CURIOUS, vector_length=3, modulus_bits=32))
    live.collect()
    live.close()
    live.collect()
    live.close()
    with pytest.raises(InvalidInputError, match="masked"):
        live.clients[A].receive(live.outbound[A], vector=np.ma.array([1, 2, 3], mask=[0, 1, 0]))


def test_a_message_of_another_round_is_refused_and_the_right_one_still_counts():
    live = Live(make_params())
    first = {client: live.answer(client, message) for client, message in live.outbound.items()}
    for client, reply in first.items():
        live.server.receive(client, reply)
    live.close()
    with pytest.raises(UnexpectedMessageError) as caught:
        live.server.receive(A, first[A])
    assert (caught.value.received, caught.value.expected) == ("AdvertiseKeys", "ShareKeys")
    live.check(live.run())


def test_a_server_session_checks_what_it_is_given():
    params = make_params()
    keys = Live(params).public_keys
    for clients in (IDS[:4], IDS[:6], (A, A, B, C, D), (A, B, C, D, -1), (A, B, C, D, 2**64), (A, B, C, D, "e")):
        with pytest.raises((InvalidInputError, InvalidParameterError), match="clients"):
            ServerSession(params, clients, keys)
    for identities in (None, {}, keys | {A: keys[B]}, keys | {A: b"short"}, {A: keys[A]}):
        with pytest.raises(InvalidInputError, match="identities"):
            ServerSession(params, IDS[:5], identities)
    for session_id in (b"", bytes(15), bytes(17), bytearray(16), "0123456789abcdef"):
        with pytest.raises(InvalidInputError, match="session_id"):
            ServerSession(params, IDS[:5], keys, session_id=session_id)
    with pytest.raises(InvalidParameterError, match="identities"):
        ServerSession(make_params(CURIOUS), IDS[:5], keys)


def test_a_wrong_model_digest_leaves_the_round_open():
    live = at_stage(Live(make_params()), "share_keys")
    live.collect()
    for digest in (b"", bytes(31), None, bytearray(32)):
        with pytest.raises(InvalidInputError, match="model_digest"):
            live.server.close_stage(digest)
    live.close()
    live.check(live.run())


@MODELS
def test_after_the_result_nothing_is_taken(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    last = {}
    live.run(between=lambda: last.update(live.outbound))
    with pytest.raises(StateSpentError):
        live.server.close_stage()
    with pytest.raises(StateSpentError):
        live.server.receive(A, live.clients[A].receive(last[A]))


def test_outbound_holds_one_message_for_each_client_that_is_left():
    live = Live(make_params())
    live.collect([E])
    live.close()
    assert set(live.server.outbound) == {A, B, C, D}
    assert len(live.server.outbound) == 4
    with pytest.raises(KeyError):
        live.server.outbound[E]
    assert E not in live.server.outbound
    live.check(live.run())


def test_session_ids_are_drawn_afresh():
    params = make_params(CURIOUS)
    invitations = {ServerSession(params, IDS[:5]).invitation for _ in range(5)}
    assert len(invitations) == 5


# --------------------------------------------------------------------------------------------------- Executors
@MODELS
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


def test_a_server_whose_executor_fails_can_close_again():
    live = at_stage(Live(make_params(vector_length=10)), "unmask")
    live.collect()
    broken = ThreadPoolExecutor(1)
    broken.shutdown()
    live.server._executor = broken
    with pytest.raises(RuntimeError):
        live.close()
    live.server._executor = None
    live.close()
    live.check(live.result)


# --------------------------------------------------------------------------------------------------- Simulator
def inputs(n: int, length: int = 4, bits: int = 16) -> dict[int, np.ndarray]:
    return {client: np.full(length, 3 * client % 2**bits, word_dtype(bits)) for client in range(n)}


@MODELS
@pytest.mark.parametrize("stage", STAGES)
def test_simulated_dropouts(adversary: AdversaryModel, stage: str):
    vectors = inputs(7)
    params = make_params(adversary, n=7, vector_length=4, modulus_bits=16)
    result = simulate(vectors, params, dropouts={stage: [1, 5]}, model_digest=MODEL)
    masked = STAGES.index(stage) > STAGES.index("masked_input")
    assert result.survivors == (set(vectors) if masked else set(vectors) - {1, 5})
    assert result.sum.tolist() == [3 * sum(result.survivors)] * 4
    assert not result.culprits
    for other, answered in result.traffic.answered.items():
        left = STAGES.index(other) >= STAGES.index(stage)
        assert answered == (set(vectors) - {1, 5} if left else set(vectors)), other
    assert set(result.traffic.answered) == set(stages_of(adversary))


def test_simulated_dropouts_at_every_stage_at_once():
    params = make_params(n=13, vector_length=4, modulus_bits=16)
    dropouts = {stage: [10 - 2 * number] for number, stage in enumerate(STAGES)}
    result = simulate(inputs(13), params, dropouts=dropouts)
    assert result.survivors == set(range(13)) - {10, 8, 6}
    assert [len(result.traffic.answered[stage]) for stage in STAGES] == [12, 11, 10, 9, 8]
    assert result.sum.tolist() == [3 * (sum(range(13)) - 24)] * 4


def test_the_first_stage_counts_for_a_client_that_is_named_twice():
    params = make_params(n=7, vector_length=4, modulus_bits=16)
    result = simulate(inputs(7), params, dropouts={"unmask": [1], "share_keys": [1]})
    assert 1 not in result.survivors


@pytest.mark.parametrize("dropouts", [{"masking": [1]}, {"": []}, {"unmask": [99]}, {"unmask": ["1"]}])
def test_unknown_stages_and_clients_are_refused(dropouts: dict):
    with pytest.raises(InvalidParameterError, match="dropouts"):
        simulate(inputs(5), make_params(vector_length=4, modulus_bits=16), dropouts=dropouts)


@pytest.mark.parametrize("stage", STAGES)
def test_too_many_simulated_dropouts(stage: str):
    with pytest.raises(TooFewClientsError) as caught:
        simulate(inputs(4), make_params(n=4, vector_length=4, modulus_bits=16), dropouts={stage: [0, 1]})
    assert caught.value.stage == stage


def test_a_simulation_takes_terms_and_bad_inputs_as_a_session_does():
    params = make_params(vector_length=4, modulus_bits=16)
    terms = ClientPolicy(identities={1: bytes(32)}, suites=frozenset({Suite.AES_128_CTR}))
    with pytest.raises(PolicyViolationError, match="suite"):
        simulate(inputs(5), params, policy=terms)
    with pytest.raises(InvalidInputError, match="vector"):
        simulate(inputs(5, length=5), params)
    with pytest.raises(InvalidInputError, match="clients"):
        simulate(inputs(4), params)


@MODELS
def test_traffic_is_what_went_over_the_wire(adversary: AdversaryModel, monkeypatch: pytest.MonkeyPatch):
    up, down = dict.fromkeys(range(6), 0), dict.fromkeys(range(6), 0)
    receive, take = ClientSession.receive, ServerSession.receive

    def heard_by_client(self: ClientSession, data: bytes, **given: object) -> bytes | None:
        down[self._client] += len(data)
        return receive(self, data, **given)

    def heard_by_server(self: ServerSession, sender: int, data: bytes) -> None:
        up[sender] += len(data)
        take(self, sender, data)

    monkeypatch.setattr(ClientSession, "receive", heard_by_client)
    monkeypatch.setattr(ServerSession, "receive", heard_by_server)
    params = make_params(adversary, n=6, vector_length=4, modulus_bits=16)
    result = simulate(inputs(6), params, dropouts={"masked_input": [2]})
    assert result.traffic.up == up
    # What was sent to the one that vanished at masked_input is counted, though nobody was there to hear it.
    assert result.traffic.down[2] > down.pop(2)
    assert {client: result.traffic.down[client] for client in down} == down
    assert up[2] < min(up[client] for client in (0, 1, 3, 4, 5))


@MODELS
@pytest.mark.parametrize(
    ("length", "bits", "n"), [(0, 1, 4), (1, 1, 5), (1000, 13, 4), (5000, 32, 8), (100, 64, 30), (7, 3, 60)]
)
def test_a_client_uploads_its_vector_200_bytes_for_each_peer_and_little_else(
    adversary: AdversaryModel, length: int, bits: int, n: int
):
    params = make_params(adversary, n=n, vector_length=length, modulus_bits=bits)
    result = simulate({client: np.zeros(length, word_dtype(bits)) for client in range(n)}, params)
    limit = -(-length * bits // 8) + 200 * (n - 1) + 512
    assert max(result.traffic.up.values()) <= limit
    assert min(result.traffic.up.values()) >= limit - 8 * (n - 1) - 512


def test_the_default_threshold_runs():
    params = SessionParams.for_cohort(cohort_size=9, vector_length=4, modulus_bits=16)
    result = simulate(inputs(9), params, dropouts={"masked_input": [0], "unmask": [1]})
    assert result.sum.tolist() == [3 * sum(range(9))] * 4


@MODELS
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


@MODELS
def test_a_client_knows_when_its_next_answer_helps_to_unmask(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    seen = []
    live.run(between=lambda: seen.append(live.clients[A].about_to_unmask))
    seen.append(live.clients[A].about_to_unmask)
    assert seen.count(True) == 1
    assert seen[-2:] == [True, False]
