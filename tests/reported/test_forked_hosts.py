"""A host forks, as gunicorn, multiprocessing and PyTorch's data loaders do: a copied state never acts twice."""

import os
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secagg import ForeignProcessError
from tests.kit.private_round_scene import CURIOUS as CURIOUS_PLAN
from tests.kit.private_round_scene import Scene, planned
from tests.kit.sessions import MODEL, Live, make_params, models

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def in_a_child(call: Callable[[], Any]) -> BaseException | None:
    """Forks, calls in the child, and returns what it raised there."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        raised: BaseException | None = None
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - whatever it is goes to the parent
            raised = error
        try:
            os.write(writing, pickle.dumps(raised))
        except BaseException:  # noqa: BLE001 - a child of a test must not go on with the tests
            traceback.print_exc()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        sent = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(sent)


def check_refused(call: Callable[[], Any], what: str) -> None:
    error = in_a_child(call)
    assert isinstance(error, ForeignProcessError), error
    assert (error.state, error.made_in) == (what, os.getpid())
    assert error.used_in != os.getpid()


@models
def test_a_child_that_did_not_make_a_session_cannot_use_it_and_the_parent_goes_on(adversary):
    live = Live(make_params(adversary, n=4))
    while live.result is None:
        client, message = next(iter(live.outbound.items()))
        session = live.clients[client]
        check_refused(lambda client=client, message=message: live.answer(client, message), "the session")
        for call in (session.leave, session.to_bytes):
            check_refused(call, "the session")
        reply = session._place.last_reply or b""
        for call in (
            lambda client=client, reply=reply: live.server.receive(client, reply),
            lambda: live.server.close_stage(MODEL),
            live.server.to_bytes,
        ):
            check_refused(call, "the session")
        if session._state is not None:
            check_refused(session._state._spend, type(session._state).__name__)
        live.collect()
        live.close()
    live.check(live.result)


def test_a_child_that_did_not_make_a_private_round_cannot_use_it_and_nothing_is_spent_there(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS_PLAN)).begin()
    while True:
        client, before = scene.ids[0], scene.files()
        check_refused(lambda client=client: scene.deliver(client), "the round")
        check_refused(scene.clients[client].leave, "the round")
        check_refused(lambda client=client: scene.server.receive(client, b""), "the round")
        check_refused(scene.close, "the round")
        assert scene.files() == before
        if scene.exchange() is not None:
            break


def test_a_session_restored_in_the_child_is_the_childs():
    live = Live(make_params(n=4))
    live.collect()
    live.close()
    saved = live.server.to_bytes()
    assert in_a_child(lambda: type(live.server).from_bytes(saved).to_bytes()) is None
