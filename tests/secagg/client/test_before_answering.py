"""A client session's hook: asked before each answer but the first, and what it refuses leaves nothing half done."""

import threading

import numpy as np
import pytest

from secagg import (
    AbortCode,
    AdversaryModel,
    ClientSession,
    InvalidInputError,
    MalformedMessageError,
    Stage,
    StateSpentError,
    UnexpectedMessageError,
)
from secagg.protocol.messages import SurvivorSet
from secagg.protocol.wire import encode
from tests.vectors.live import IDS, Live, make_params

MODELS = pytest.mark.parametrize("adversary", AdversaryModel, ids=lambda model: model.name)
A = IDS[0]


class RefusedError(Exception):
    """What a layer above may raise, which knows nothing of the protocol."""


class Watch:
    """A hook that notes the stages, and refuses some."""

    def __init__(self, *refused: Stage) -> None:
        self.seen: list[Stage] = []
        self.refused = set(refused)

    def __call__(self, stage: Stage) -> None:
        self.seen.append(stage)
        if stage in self.refused:
            raise RefusedError


def watched(adversary: AdversaryModel, watch: Watch) -> Live:
    live = Live(make_params(adversary))
    live.clients[A] = ClientSession(A, live.policy, live.identities.get(A), before_answering=watch)
    return live


def stages(adversary: AdversaryModel) -> list[Stage]:
    answered = list(Stage)[1:]
    return answered if adversary is AdversaryModel.ACTIVE else [one for one in answered if one is not Stage.CONSISTENCY]


def until(live: Live, stage: str) -> Live:
    while live.server.stage != stage:
        live.collect()
        live.close()
    return live


@MODELS
def test_it_is_asked_once_before_each_answer_but_the_first(adversary: AdversaryModel):
    watch = Watch()
    live = watched(adversary, watch)
    live.check(live.run())
    assert watch.seen == stages(adversary)


@MODELS
@pytest.mark.parametrize("stage", list(Stage)[1:])
def test_what_it_refuses_is_not_answered_and_may_come_again(adversary: AdversaryModel, stage: Stage):
    if stage not in stages(adversary):
        return
    watch = Watch(stage)
    live = until(watched(adversary, watch), stage)
    client = live.clients[A]
    before = client.to_bytes()
    for _ in range(2):
        with pytest.raises(RefusedError):
            live.answer(A, live.outbound[A])
        assert client.to_bytes() == before
        assert not client.over
    watch.refused.clear()
    result = live.run()
    live.check(result)
    assert A in result.survivors
    assert watch.seen.count(stage) == 3


@MODELS
def test_a_restored_session_has_the_hook_that_it_is_given(adversary: AdversaryModel):
    watch = Watch(Stage.UNMASK)
    live = until(Live(make_params(adversary)), "unmask")
    data = live.clients[A].to_bytes()
    live.clients[A] = ClientSession.from_bytes(data, identity=live.identities.get(A), before_answering=watch)
    with pytest.raises(RefusedError):
        live.answer(A, live.outbound[A])
    assert live.clients[A].to_bytes() == data
    watch.refused.clear()
    live.check(live.run())


@MODELS
def test_what_comes_again_is_answered_from_memory(adversary: AdversaryModel):
    watch = Watch()
    live = until(watched(adversary, watch), "unmask")
    message = live.outbound[A]
    answer = live.answer(A, message)
    seen = list(watch.seen)
    watch.refused.update(Stage)
    assert live.answer(A, message) == answer
    assert watch.seen == seen


@MODELS
def test_the_servers_abort_needs_no_approval(adversary: AdversaryModel):
    watch = Watch(*Stage)
    live = watched(adversary, watch)
    watch.refused.clear()
    until(live, "unmask")
    watch.refused.update(Stage)
    seen = list(watch.seen)
    assert live.answer(A, live.server.abort_message(AbortCode.TOO_FEW_CLIENTS)) is None
    assert live.clients[A].aborted is AbortCode.TOO_FEW_CLIENTS
    assert live.clients[A].over
    assert watch.seen == seen
    with pytest.raises(StateSpentError):
        live.answer(A, live.outbound[A])


@MODELS
def test_it_is_not_asked_for_garbage_or_for_a_message_of_another_stage(adversary: AdversaryModel):
    watch = Watch()
    live = until(watched(adversary, watch), "masked_input")
    seen = list(watch.seen)
    for garbage in (b"", live.outbound[A][:-1], live.outbound[A] + b"\x00", bytes(60)):
        with pytest.raises(MalformedMessageError):
            live.answer(A, garbage)
    early = encode(SurvivorSet(b"\x1f", 5), live.params.suite, live.server.session_id)
    with pytest.raises(UnexpectedMessageError):
        live.answer(A, early)
    assert watch.seen == seen
    assert live.clients[A].over


def test_it_is_asked_before_the_vector_is_looked_at():
    watch = Watch()
    live = until(watched(AdversaryModel.ACTIVE, watch), "masked_input")
    client, message = live.clients[A], live.outbound[A]
    for vector in (None, np.zeros(1, np.uint16)):
        with pytest.raises(InvalidInputError, match="vector"):
            client.receive(message, vector=vector)
    assert watch.seen == [Stage.SHARE_KEYS, Stage.MASKED_INPUT, Stage.MASKED_INPUT]
    live.check(live.run())


def test_no_other_thread_moves_the_session_on_while_it_is_asked():
    asked, go_on = threading.Event(), threading.Event()

    def slowly(stage: Stage) -> None:
        if stage is Stage.UNMASK:
            asked.set()
            assert go_on.wait(5)
            raise RefusedError

    live = Live(make_params())
    live.clients[A] = ClientSession(A, live.policy, live.identities.get(A), before_answering=slowly)
    until(live, "unmask")
    outcomes: list[object] = []

    def receive() -> None:
        try:
            outcomes.append(live.answer(A, live.outbound[A]))
        except RefusedError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=receive) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert asked.wait(5)
    # Whichever came second waits for the first one's lock, and is asked as well.
    assert not outcomes
    go_on.set()
    for thread in threads:
        thread.join()
    assert [type(outcome) for outcome in outcomes] == [RefusedError, RefusedError]
    assert not live.clients[A].over
