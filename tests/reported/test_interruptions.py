"""Whatever interrupts a call, at whatever line: a sum is right or is not released, and nobody is blamed for it."""

import signal
from types import FrameType

import numpy as np
import pytest

from secagg import (
    ClientSession,
    RemoteError,
    Result,
    ServerSession,
    StateSpentError,
    UnexpectedMessageError,
)
from tests.kit.interruptions import Interruption, interrupted
from tests.kit.sessions import MODEL, Live, make_params, models, stages_of

STEP = 3
"""Of the lines of the longest calls: every one of them takes minutes."""


def taken_in_spite_of_interruptions(live: Live, client: int, data: bytes) -> int:
    """Gives the server one message again and again, interrupted one line later each time; returns how often."""
    for line in range(1, 10**6):
        try:
            if not interrupted(lambda: live.server.receive(client, data), line):
                return line
        except UnexpectedMessageError:
            # Interrupted after it was taken: the next one is a second one.
            assert client in live.server.received
            return line
    raise AssertionError("without end")


@models
def test_an_input_interrupted_at_any_line_is_in_the_sum_once(adversary):
    live, times = Live(make_params(adversary, n=4, vector_length=300)), 0
    while live.result is None:
        for client, message in live.outbound.items():
            reply = live.answer(client, message)
            assert reply is not None
            times += taken_in_spite_of_interruptions(live, client, reply)
            assert client in live.server.received
        live.close()
    assert times > 500, "every line of each stage was met"
    assert not live.result.culprits
    live.check(live.result)


def outcome(server: ServerSession) -> dict[int, bytes] | Result:
    closed = server.close_stage(MODEL)
    return closed if isinstance(closed, Result) else dict(closed)


@pytest.mark.slow
@models
def test_a_stage_interrupted_at_any_line_of_its_end_is_open_or_the_session_is_over(adversary):
    live = Live(make_params(adversary, n=4))
    for stage in stages_of(adversary):
        saved = live.server.to_bytes()
        live.collect(silent=list(live.clients)[-1:] if stage == "masked_input" else ())
        replies = {client: live.clients[client]._place.last_reply for client in live.server.received}
        if stage == "masked_input":
            continue_without_replies(live)
            continue
        live.close()
        for line in range(1, 10**6, STEP):
            server = ServerSession.from_bytes(saved)
            for client, reply in replies.items():
                assert reply is not None
                server.receive(client, reply)
            if not interrupted(lambda server=server: server.close_stage(MODEL), line):
                break
            if stage == server.stage:
                try:
                    again = outcome(server)
                except StateSpentError:
                    with pytest.raises(StateSpentError):
                        server.receive(next(iter(replies)), b"")
                    continue
                if isinstance(again, Result):
                    live.check(again)
                else:
                    assert again == dict(live.outbound)
            else:
                assert dict(server.outbound) == dict(live.outbound)
            assert not server.faults
        assert line > 20


def continue_without_replies(live: Live) -> None:
    """A client keeps no masked input, so that none can be given twice: the first test has this stage."""
    live.close()


@pytest.mark.slow
@models
def test_a_client_interrupted_at_any_line_answers_or_is_over_and_blames_nobody(adversary):
    live = Live(make_params(adversary, n=4))
    live.collect()
    live.close()
    while live.result is None:
        client, message = next(iter(live.outbound.items()))
        saved = live.clients[client].to_bytes()
        wants = live.clients[client].wants_input

        def restored(client: int = client, saved: bytes = saved) -> ClientSession:
            return ClientSession.from_bytes(saved, identity=live.identities.get(client))

        def answer(
            session: ClientSession, client: int = client, message: bytes = message, wants: bool = wants
        ) -> bytes | None:
            return session.receive(message, vector=live.vectors[client] if wants else None, model_digest=MODEL)

        expected = answer(restored())
        for line in range(1, 10**6, STEP):
            session = restored()
            if not interrupted(lambda session=session: answer(session), line):
                break
            try:
                again = answer(session)
            except StateSpentError:
                assert session.over
            except RemoteError as error:  # pragma: no cover - the failure that this test is for
                raise AssertionError(f"line {line}: the server is blamed: {error}") from error
            else:
                # A share is sealed anew, with fresh randomness; all else is the same.
                assert again is None or expected is None or len(again) == len(expected)
        assert line > 20
        live.collect()
        live.close()
    live.check(live.result)


def test_an_alarm_within_a_long_addition_leaves_the_sum_whole():
    """As an application server's time limit does: the exception comes from a signal's handler."""
    live = Live(make_params(n=4, vector_length=200_000, modulus_bits=20))
    while live.server.stage != "masked_input":
        live.collect()
        live.close()
    first, *others = live.outbound

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Interruption

    before = signal.signal(signal.SIGALRM, stop)
    try:
        reply = live.answer(first, live.outbound[first])
        for delay_s in np.linspace(1e-5, 5e-3, 60):
            # The alarm may also come while it is taken back.
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, delay_s)
                    live.server.receive(first, reply)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Interruption:
                continue
            except UnexpectedMessageError:
                break
            break
    finally:
        signal.signal(signal.SIGALRM, before)
    if first not in live.server.received:
        live.server.receive(first, reply)
    for client in others:
        live.server.receive(client, live.answer(client, live.outbound[client]))
    live.close()
    live.check(live.run())


def test_the_interruption_itself_is_met():
    def three_lines() -> None:
        make_params()

    assert interrupted(three_lines, 1)
    assert not interrupted(three_lines, 10**6)
