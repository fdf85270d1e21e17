"""A client's session: what it takes, what it repeats, what ends it."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from secagg import (
    SERVER,
    AdversaryModel,
    ClientSession,
    Identity,
    InvalidInputError,
    InvalidParameterError,
    InvalidStateError,
    PolicyViolationError,
    StateSpentError,
    UnexpectedMessageError,
)
from secagg.protocol.messages import SurvivorSet, largest_message_bytes
from secagg.protocol.wire import encode
from tests.kit.sessions import (
    ACTIVE,
    CURIOUS,
    MODEL,
    A,
    B,
    Live,
    at_stage,
    make_params,
    models,
    stages_of,
)


@models
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


@models
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


@models
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


@models
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


@models
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


@models
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


def test_the_policy_decides_and_the_session_is_over():
    live = Live(make_params(), min_cohort=6)
    with pytest.raises(PolicyViolationError) as caught:
        live.answer(A, live.outbound[A])
    assert caught.value.rule == "cohort_size"
    assert live.clients[A].over
    with pytest.raises(StateSpentError):
        live.answer(A, live.outbound[A])


@models
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


@pytest.mark.parametrize("client", [-1, 2**64, True, "1", None, 1.0, np.int64(-1)])
def test_an_id_is_an_integer_of_64_bits(client: object):
    live = Live(make_params(CURIOUS))
    with pytest.raises(InvalidParameterError, match="client"):
        ClientSession(client, live.policy)


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


@models
def test_one_message_that_arrives_twice_at_once_is_answered_once(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    live.collect()
    live.close()
    with ThreadPoolExecutor(8) as pool:
        replies = set(pool.map(live.clients[A].receive, [live.outbound[A]] * 8))
    assert len(replies) == 1
    assert not live.clients[A].over


@models
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


@models
def test_a_client_knows_when_its_next_answer_helps_to_unmask(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    seen = []
    live.run(between=lambda: seen.append(live.clients[A].about_to_unmask))
    seen.append(live.clients[A].about_to_unmask)
    assert seen.count(True) == 1
    assert seen[-2:] == [True, False]


def test_what_is_no_bytes_is_refused_without_harm():
    live = Live(make_params())
    for data in (None, "text", 5, [1, 2]):
        with pytest.raises(InvalidInputError, match="data"):
            live.clients[A].receive(data)
        with pytest.raises(InvalidInputError, match="data"):
            live.server.receive(A, data)
    live.check(live.run())


@models
def test_an_interruption_of_the_last_answer_ends_the_session(
    adversary: AdversaryModel, monkeypatch: pytest.MonkeyPatch
):
    live = at_stage(Live(make_params(adversary)), "unmask")
    session = live.clients[A]

    def interrupted(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("secagg.client.session.encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.receive(live.outbound[A])
    assert session.over
    assert session.phase == "over"
    with pytest.raises(StateSpentError):
        session.receive(live.outbound[A])


@models
def test_a_fault_that_the_hook_finds_ends_the_session_and_anything_else_leaves_it(adversary: AdversaryModel):
    errors: list[Exception] = [OSError("disk full"), PolicyViolationError("round", 1, 2)]

    def refuse(_: object) -> None:
        raise errors[0]

    live = at_stage(Live(make_params(adversary)), "share_keys")
    session = ClientSession.from_bytes(
        live.clients[A].to_bytes(), identity=live.identities.get(A), before_answering=refuse
    )
    with pytest.raises(OSError, match="disk full"):
        session.receive(live.outbound[A])
    assert not session.over
    del errors[0]
    with pytest.raises(PolicyViolationError):
        session.receive(live.outbound[A])
    assert session.over
    assert session._state is None
