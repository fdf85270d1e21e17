"""The hook before each answer: the last chance of the layer above to refuse, or to pay for what is released."""

import pytest

from secagg import AbortCode, AdversaryModel, ClientSession, InvalidInputError, MalformedMessageError
from secagg.stages import Stage
from tests.kit.sessions import MODEL, A, Live, at_stage, make_params, models, stages_of


class RefusedHereError(Exception):
    """What the layer above raises."""


class Hook:
    """Notes the stages that it is called with, and raises at the one named."""

    def __init__(self) -> None:
        self.called: list[Stage] = []
        self.refuses: Stage | None = None

    def __call__(self, stage: Stage) -> None:
        self.called.append(stage)
        if stage is self.refuses:
            raise RefusedHereError


def hooked(adversary: AdversaryModel) -> tuple[Live, Hook]:
    """Returns a session in which client A has a hook."""
    live, hook = Live(make_params(adversary)), Hook()
    live.clients[A] = ClientSession(A, live.policy, live.identities.get(A), before_answering=hook)
    return live, hook


@models
def test_it_is_called_once_before_each_answer_but_the_first_with_the_stage(adversary: AdversaryModel):
    live, hook = hooked(adversary)
    called_before = []
    live.check(live.run(between=lambda: called_before.append((live.server.stage, list(hook.called)))))
    later = [Stage(stage) for stage in stages_of(adversary)[1:]]
    assert hook.called == later
    assert all(type(stage) is Stage for stage in hook.called)
    assert called_before == [(stage, later[: max(0, at - 1)]) for at, stage in enumerate(stages_of(adversary))]


@models
def test_what_it_raises_spends_nothing_and_the_same_message_is_answered_later(adversary: AdversaryModel):
    live, hook = hooked(adversary)
    live.collect()
    live.close()
    while live.result is None:
        session, message = live.clients[A], live.outbound[A]
        before, state, wanted = session.to_bytes(), session._state, session.wants_input
        hook.refuses = live.server.stage
        for _ in range(2):
            with pytest.raises(RefusedHereError):
                live.answer(A, message)
            assert session._state is state
            assert not session._state.spent
            assert not session.over
            assert session.wants_input is wanted
            assert session.to_bytes() == before
        hook.refuses = None
        live.collect()
        live.close()
    live.check(live.result)
    assert A in live.result.survivors
    assert hook.called == [Stage(stage) for stage in stages_of(adversary)[1:] for _ in range(3)]


@models
def test_a_message_that_comes_again_is_answered_without_it(adversary: AdversaryModel):
    live, hook = hooked(adversary)
    while live.result is None:
        stage, message = live.server.stage, live.outbound[A]
        reply = live.answer(A, message)
        called = list(hook.called)
        hook.refuses = stage
        assert live.clients[A].receive(message) == (None if stage == "masked_input" else reply)
        assert hook.called == called
        hook.refuses = None
        live.server.receive(A, reply)
        live.collect(silent=[A])
        live.close()
    live.check(live.result)


@models
def test_it_is_not_called_for_bytes_that_are_no_message_nor_for_an_abort(adversary: AdversaryModel):
    for stage in stages_of(adversary)[1:]:
        live, hook = hooked(adversary)
        at_stage(live, stage)
        called = list(hook.called)
        message = live.outbound[A]
        for data in (b"", bytes(100), message[:-1], message + b"x", live.server.invitation[:-1]):
            with pytest.raises(MalformedMessageError):
                live.clients[A].receive(data, vector=live.vectors[A], model_digest=MODEL)
        assert hook.called == called
        assert live.clients[A].receive(live.server.abort_message(AbortCode.LEAVING)) is None
        assert live.clients[A].aborted is AbortCode.LEAVING
        assert hook.called == called


@models
def test_it_is_called_again_where_the_vector_is_unusable(adversary: AdversaryModel):
    live, hook = hooked(adversary)
    at_stage(live, "masked_input")
    with pytest.raises(InvalidInputError, match="vector"):
        live.clients[A].receive(live.outbound[A], model_digest=MODEL)
    live.check(live.run())
    assert hook.called.count(Stage.MASKED_INPUT) == 2


@models
def test_a_restored_session_has_the_hook_that_it_is_given_and_no_other(adversary: AdversaryModel):
    live, hook = hooked(adversary)
    live.collect()
    live.close()
    while live.result is None:
        data, identity = live.clients[A].to_bytes(), live.identities.get(A)
        without = ClientSession.from_bytes(data, identity=identity)
        assert without.receive(live.outbound[A], vector=live.vectors[A], model_digest=MODEL) is not None
        live.clients[A] = ClientSession.from_bytes(data, identity=identity, before_answering=hook)
        live.collect()
        live.close()
    live.check(live.result)
    assert hook.called == [Stage(stage) for stage in stages_of(adversary)[1:]]
