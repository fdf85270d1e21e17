"""fl.private.client_round: what a caller may get wrong and mend, and what comes again."""

import copy
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dp.ledger.errors import LedgerLockedError, RoundRefusedError
from dp.ledger.file import lock_exclusively
from dp.ledger.round_counter import RoundCounter
from dp.vocabulary import Unit
from fl.errors import SchemaMismatchError
from fl.private.client_round import ClientRound
from fl.private.messages import Step, encode_round_message
from secagg.errors import (
    InvalidInputError,
    InvalidParameterError,
    InvalidStateError,
    LocalError,
    MalformedMessageError,
    StateSpentError,
)
from secagg.params import AdversaryModel
from secagg.primitives.signing import Identity
from secagg.protocol.messages import AbortCode
from tests.kit.private_round_scene import (
    ACTIVE,
    CURIOUS,
    LOSS,
    MODEL,
    VICTIM,
    Scene,
    at,
    both_models,
    planned,
    public_keys,
    update_of,
)


# ------------------------------------------------------------------------------------------------- A round as it is
@both_models
def test_a_client_says_where_it_stands(tmp_path: Path, adversary: AdversaryModel):
    scene = Scene(tmp_path, planned(adversary=adversary)).begin()
    client = scene.clients[VICTIM]
    seen = []
    for stage in ("advertise_keys", "share_keys", "masked_input", "consistency", "unmask"):
        if stage == "consistency" and adversary is CURIOUS:
            continue
        seen.append((client.phase, client.round_number, client.wants_input, client.over))
        scene.exchange()
    middle = [("CheckingConsistency", 1, False, False), ("Unmasking", 1, False, False)]
    assert seen == [
        ("awaiting the offer", 0, False, False),
        ("SharingKeys", 1, False, False),
        ("MaskingInput", 1, True, False),
        *(middle if adversary is ACTIVE else [("AwaitingSurvivors", 1, False, False)]),
    ]
    assert (client.phase, client.over, client.wants_input) == ("over", True, False)
    assert repr(client) == f"<ClientRound 1 of client {VICTIM}, over>"
    assert client.clip == 1.0


def test_no_text_shows_what_is_handed_in(tmp_path: Path):
    scene = at(tmp_path, "masked_input", side_values=(LOSS,), weight_cap=50)
    client = scene.clients[VICTIM]
    secret = 0.123456789
    update = {name: np.full_like(array, secret) for name, array in MODEL.items()}
    client.receive(scene.outbound[VICTIM], update=update, weight=37, side_values={"loss": secret})
    snapshot = client.to_bytes()
    for text in (repr(client), str(client), repr(client._session), repr(snapshot)):
        assert "0.1234" not in text
    assert np.float64(secret).tobytes() not in snapshot


def test_a_client_is_not_copied(tmp_path: Path):
    client = Scene(tmp_path, planned(adversary=CURIOUS)).client(VICTIM)
    for way in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(InvalidStateError):
            way(client)


# ----------------------------------------------------------------------------------------------- What the caller mends
SIDES: dict[str, Any] = {"side_values": {"loss": 1.0}}

BAD_INPUT: dict[str, tuple[dict[str, Any], type[LocalError], str]] = {
    "nothing": ({}, InvalidInputError, "update"),
    "both": ({"update": update_of(1), "examples": [update_of(1)]}, InvalidInputError, "update"),
    "examples": ({"examples": [update_of(1)]}, InvalidInputError, "updates"),
    "another shape": (
        {"update": {"b": np.zeros(3), "w": np.zeros((3, 4))}} | SIDES,
        SchemaMismatchError,
        "shape of array 'w'",
    ),
    "another model": ({"update": {}} | SIDES, SchemaMismatchError, "arrays"),
    "nan": ({"update": {"b": np.full(3, math.nan), "w": np.zeros((4, 3))}} | SIDES, InvalidInputError, "array 'b'"),
    "inf": ({"update": {"b": np.full(3, math.inf), "w": np.zeros((4, 3))}} | SIDES, InvalidInputError, "array 'b'"),
    "weight": ({"update": MODEL, "weight": 51}, InvalidInputError, "weight"),
    "negative": ({"update": MODEL, "weight": -1}, InvalidInputError, "weight"),
    "bool": ({"update": MODEL, "weight": True}, InvalidInputError, "weight"),
    "float": ({"update": MODEL, "weight": 3.0}, InvalidInputError, "weight"),
    "no side value": ({"update": MODEL, "weight": 3, "side_values": {}}, InvalidInputError, "side_values"),
    "range": ({"update": MODEL, "weight": 3, "side_values": {"loss": 5.1}}, InvalidInputError, "side value loss"),
    "undeclared": (
        {"update": MODEL, "side_values": {"loss": 1.0, "accuracy": 1.0}},
        InvalidInputError,
        "side_values",
    ),
    "model digest": (
        {"update": MODEL, "weight": 3, "side_values": {"loss": 1.0}, "model_digest": b"short"},
        InvalidInputError,
        "model_digest",
    ),
}


@pytest.mark.parametrize(("given", "failure", "field"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_what_is_handed_in_wrongly_is_refused_and_may_be_handed_in_again(
    tmp_path: Path, given: dict[str, Any], failure: type[LocalError], field: str
):
    scene = at(tmp_path, "masked_input", side_values=(LOSS,), weight_cap=50)
    client = scene.clients[VICTIM]
    before, files = client.to_bytes(), scene.files()
    with pytest.raises(failure) as refused:
        client.receive(scene.outbound[VICTIM], **given)
    assert (getattr(refused.value, "field", None) or getattr(refused.value, "what", None)) == field
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)
    # Nothing was spent: the same client takes part as if nothing had been.
    assert client.to_bytes() == before
    assert scene.files() == files
    assert scene.finish().survivors == 5


def test_an_update_is_refused_where_examples_are_protected(tmp_path: Path):
    scene = at(tmp_path, "masked_input", unit=Unit.EXAMPLE, examples_per_client=3)
    client, message = scene.clients[VICTIM], scene.outbound[VICTIM]
    for given, field in (
        ({"update": MODEL}, "update"),
        ({}, "update"),
        ({"examples": [MODEL] * 4}, "updates"),
        ({"examples": [MODEL], "weight": 3}, "weight"),
        ({"examples": [MODEL], "side_values": {"loss": 1.0}}, "weight"),
    ):
        with pytest.raises(InvalidInputError) as refused:
            client.receive(message, **given)  # type: ignore[arg-type]
        assert refused.value.field == field
    assert client.receive(message, examples=[MODEL] * 3) is not None


@pytest.mark.parametrize(
    ("arguments", "failure"),
    [
        ((None, None), InvalidParameterError),
        ((Identity(bytes(32)), {}), InvalidParameterError),
        ((None, "known"), InvalidInputError),
        ((Identity(bytes(32)), "known"), InvalidInputError),
        ((Identity(bytes(32)), [1, 2]), InvalidParameterError),
    ],
    ids=["nobody known", "nobody known but oneself", "no key", "another key", "no mapping"],
)
def test_identities_that_do_not_fit_are_found_before_a_round_is_counted(
    tmp_path: Path, arguments: tuple[Any, Any], failure: type[LocalError]
):
    plan = planned(adversary=ACTIVE)
    identity, identities = arguments
    with pytest.raises(failure):
        ClientRound(
            plan,
            VICTIM,
            RoundCounter(tmp_path / "counter", plan.scope, 3),
            identity,
            identities=public_keys(plan) if identities == "known" else identities,
        )
    assert not (tmp_path / "counter").exists()


@pytest.mark.parametrize("client", [-1, 2**64, True, "7", None, 7.0])
def test_what_is_no_client_is_refused(tmp_path: Path, client: Any):
    plan = planned(adversary=CURIOUS)
    with pytest.raises(InvalidParameterError):
        ClientRound(plan, client, RoundCounter(tmp_path / "counter", plan.scope, 3))


def test_an_identity_is_refused_where_the_plan_needs_none(tmp_path: Path):
    plan = planned(adversary=CURIOUS)
    with pytest.raises(InvalidInputError):
        ClientRound(plan, VICTIM, RoundCounter(tmp_path / "counter", plan.scope, 3), Identity(bytes(32)))


def test_the_counter_of_another_budget_refuses(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS))
    scene.counters[VICTIM] = RoundCounter(tmp_path / "other", "ward 8", 3)
    scene.begin().until("masked_input")
    error = scene.refused(VICTIM, scene.outbound[VICTIM], RoundRefusedError)
    assert (error.rule, error.offered, error.accepted) == ("scope", "ward 7", "ward 8")
    assert not (tmp_path / "other").exists()


def test_a_counter_of_fewer_rounds_refuses(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS))
    scene.counters[VICTIM] = RoundCounter(tmp_path / "other", "ward 7", 1)
    scene.begin(2).until("masked_input")
    assert scene.refused(VICTIM, scene.outbound[VICTIM], RoundRefusedError).rule == "rounds"


@both_models
@pytest.mark.parametrize("stage", ["masked_input", "unmask"])
def test_a_counter_that_somebody_else_holds_refuses_and_may_be_tried_again(
    tmp_path: Path, adversary: AdversaryModel, stage: str
):
    scene = at(tmp_path, stage, adversary)
    before = scene.files()
    path = tmp_path / f"counter-{VICTIM}.lock"
    with path.open("ab") as held:
        lock_exclusively(held.fileno(), path, "held by the test")
        with pytest.raises(LedgerLockedError):
            scene.deliver(VICTIM)
    assert scene.files() == before
    assert not scene.clients[VICTIM].over
    assert scene.finish().survivors == 5


# -------------------------------------------------------------------------------------------------- What comes again
@both_models
def test_every_message_may_come_twice(tmp_path: Path, adversary: AdversaryModel):
    scene = Scene(tmp_path, planned(adversary=adversary)).begin()
    earlier: list[bytes] = []
    while True:
        stage = scene.server.stage
        message, again = scene.outbound[VICTIM], None
        reply = scene.deliver(VICTIM)
        assert reply is not None
        files = scene.files()
        again = scene.clients[VICTIM].receive(message)
        # The masked input is not kept: it is large, and its loss is a dropout like any other.
        assert again == (None if stage == "masked_input" else reply)
        for old in earlier:
            assert scene.clients[VICTIM].receive(old) is None
        assert scene.files() == files
        earlier.append(message)
        scene.server.receive(VICTIM, reply)
        released = None
        for client in scene.ids:
            if client != VICTIM:
                answer = scene.deliver(client)
                assert answer is not None
                scene.server.receive(client, answer)
        released = scene.close()
        if released is not None:
            break
    assert released.survivors == 5
    assert len(earlier) == (5 if adversary is ACTIVE else 4)


@both_models
def test_an_answer_to_unmasking_is_given_again_and_not_to_others(tmp_path: Path, adversary: AdversaryModel):
    scene = at(tmp_path, "unmask", adversary)
    answer = scene.deliver(VICTIM)
    assert scene.deliver(VICTIM) == answer
    with pytest.raises((StateSpentError, MalformedMessageError)):
        scene.deliver(VICTIM, encode_round_message(Step((), b"another")))


# ----------------------------------------------------------------------------------------------------------- Leaving
@both_models
@pytest.mark.parametrize("stage", ["share_keys", "masked_input", "unmask"])
def test_a_client_may_leave(tmp_path: Path, adversary: AdversaryModel, stage: str):
    scene = at(tmp_path, stage, adversary)
    client = scene.clients[VICTIM]
    message = client.leave()
    assert message is not None
    scene.server.receive(VICTIM, message)
    assert scene.server._session.aborted == {VICTIM: AbortCode.LEAVING}
    assert client.over
    assert client.phase == "over"
    with pytest.raises(StateSpentError):
        scene.deliver(VICTIM)
    with pytest.raises(InvalidStateError):
        client.to_bytes()
    assert scene.finish(silent={VICTIM}).survivors == (5 if stage == "unmask" else 4)


def test_a_client_may_leave_before_it_is_asked(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS)).begin()
    assert scene.clients[VICTIM].leave() is None
    before = scene.files()
    with pytest.raises(StateSpentError):
        scene.deliver(VICTIM)
    assert scene.files() == before
    assert scene.clients[VICTIM].phase == "over"


@both_models
def test_a_server_may_end_the_round(tmp_path: Path, adversary: AdversaryModel):
    scene = at(tmp_path, "share_keys", adversary)
    assert scene.deliver(VICTIM, scene.server.abort_message()) is None
    assert scene.clients[VICTIM].over


def test_messages_are_decoded_before_anything_else(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS)).begin()
    for garbage in (b"", b"flPR\x02", b"\x00" * 50):
        with pytest.raises(MalformedMessageError):
            scene.deliver(VICTIM, garbage)
    assert scene.finish().survivors == 5
