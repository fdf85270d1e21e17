"""Stage 4 on the client (ACTIVE): the one answer, after the signatures of others over its own survivor set."""

import pytest

from secagg import SERVER, AuthenticationError, InconsistentServerError, MalformedMessageError, StateSpentError
from secagg.client.states import Unmasking
from secagg.protocol.messages import UnmaskingRequest
from tests.kit.sessions import A, Live, at_stage, given, make_params


def at_unmasking() -> tuple[Live, Unmasking, UnmaskingRequest]:
    live = at_stage(Live(make_params()), "unmask")
    return live, live.clients[A]._state, given(live)


def test_the_answer_is_the_one_that_was_fixed_and_is_given_once():
    _, state, request = at_unmasking()
    fixed = state._peek()
    assert state.unmask(request).table == fixed.answer
    with pytest.raises(StateSpentError):
        state.unmask(request)


def test_wrong_lengths_cost_nothing():
    _, state, request = at_unmasking()
    for signers, signatures in ((b"", request.signatures), (request.signers, request.signatures[:-1]), (b"\xff", b"")):
        with pytest.raises(MalformedMessageError):
            state.unmask(UnmaskingRequest(signers, signatures))
        assert not state.spent


def test_one_signature_that_does_not_verify_ends_it():
    _, state, request = at_unmasking()
    changed = bytes([request.signatures[0] ^ 1]) + request.signatures[1:]
    with pytest.raises(AuthenticationError, match="the survivor set") as caught:
        state.unmask(UnmaskingRequest(request.signers, changed))
    assert caught.value.culprit is SERVER
    assert state.spent


def test_too_few_signatures_end_it():
    _, state, request = at_unmasking()
    with pytest.raises(InconsistentServerError, match="quorum"):
        state.unmask(UnmaskingRequest(b"\x03", request.signatures[: 2 * 64]))
    assert state.spent
