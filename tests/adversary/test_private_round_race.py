"""A server that sends the survivors and the request to unmask at once, to a host that takes messages on two threads.

Between the look at the ledger and the answer the session must not move on: the second message would be taken for one
that needs no reserve.
"""

import threading
from pathlib import Path

import pytest

from dp.ledger.errors import RoundRefusedError
from fl.private.messages import Step, encode_round_message
from secagg.client.session import ClientSession
from tests.kit.private_round_scene import ACTIVE, OTHER, VICTIM, Scene, planned


@pytest.mark.slow
def test_a_request_that_overtakes_the_survivors_is_answered_after_the_reserve_or_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path, planned(adversary=ACTIVE)).begin().until("consistency")
    survivors = scene.outbound[VICTIM]
    scene.exchange(silent=[VICTIM])
    request = encode_round_message(Step((), scene.session_of(OTHER)))
    client = scene.clients[VICTIM]
    # The first message stops in the middle of the session's work, until the second one is there.
    entered, there = threading.Event(), threading.Event()
    answers: list[object] = []
    advance = ClientSession._advance

    def slowly(self: ClientSession, *arguments: object) -> object:
        entered.set()
        there.wait(0.3)
        return advance(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ClientSession, "_advance", slowly)

    def receive(message: bytes) -> None:
        try:
            answers.append(client.receive(message))
        except RoundRefusedError as error:
            answers.append(error)

    first = threading.Thread(target=receive, args=(survivors,))
    second = threading.Thread(target=receive, args=(request,))
    first.start()
    entered.wait(5)
    second.start()
    first.join()
    second.join()
    refusals = [answer for answer in answers if isinstance(answer, RoundRefusedError)]
    assert [error.rule for error in refusals] == ["reserve"]
    assert client.over
    assert scene.counters[VICTIM]._load().witnessed == 0
