"""The table of the client's states is what the page shows, what sessions do, and what errors name."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from secagg import SERVER, AdversaryModel, ClientSession, UnexpectedMessageError
from secagg.client.states import TRANSITIONS, ClientState, Input, Transition, restored, transition_of
from secagg.errors import InvalidStateError
from secagg.protocol.messages import (
    AdvertiseKeys,
    ConsistencySignature,
    Invitation,
    KeyRoster,
    MaskedInput,
    Message,
    ShareDelivery,
    ShareKeys,
    SurvivorSet,
    UnmaskingRequest,
    UnmaskingShares,
)
from secagg.protocol.wire import decode, encode
from tests.kit.sessions import A, Live, at_stage, make_params, models

PAGE = Path(__file__).parents[3] / "docs" / "protocol.md"

MESSAGES: dict[type[Message], Message] = {
    type(message): message
    for message in (
        Invitation(b""),
        AdvertiseKeys(bytes(32), bytes(32), bytes(64)),
        KeyRoster(b"", 5),
        ShareKeys(b"", bytes(32)),
        ShareDelivery(b"", b""),
        MaskedInput(memoryview(b""), b"", bytes(32)),
        SurvivorSet(b"", 5),
        ConsistencySignature(bytes(64)),
        UnmaskingRequest(b"", b""),
        UnmaskingShares(b""),
    )
}
"""Any message of each type but Abort, which may come at any time."""

WAITING = [(model, row) for row in TRANSITIONS for model in sorted(row.models)]
every_state = pytest.mark.parametrize(
    ("adversary", "row"), WAITING, ids=[f"{model.name}-{row.state.__name__}" for model, row in WAITING]
)


def table() -> str:
    """Returns the table as the page shows it."""
    rows = ["| state | expects | answers | stage | then |", "|---|---|---|---|---|"]
    rows.append("| before the invitation | Invitation | AdvertiseKeys | 0 advertise keys | SharingKeys |")
    for row in TRANSITIONS:
        following = [("over" if state is None else state.__name__) + _only(state) for state in row.follows]
        stage = f"{row.stage.number} {row.stage.value.replace('_', ' ')}"
        rows.append(
            f"| {row.state.__name__}{_only(row.state)} | {row.expects.__name__} | {row.answers.__name__} | {stage} "
            f"| {', '.join(following)} |"
        )
    return "\n".join(rows)


def _only(state: type[ClientState] | None) -> str:
    """Returns the page's sign for a state of one model only."""
    signs = {frozenset({AdversaryModel.ACTIVE}): " ♦", frozenset({AdversaryModel.HONEST_BUT_CURIOUS}): " ♢"}
    return "" if state is None else signs.get(_row(state).models, "")


def _row(state: type[ClientState]) -> Transition:
    [row] = [row for row in TRANSITIONS if row.state is state]
    return row


def waiting(adversary: AdversaryModel, row: Transition) -> tuple[Live, ClientSession]:
    """Returns a session in which client A is in a state."""
    live = at_stage(Live(make_params(adversary)), row.stage)
    session = live.clients[A]
    assert type(session._state) is row.state
    return live, session


def test_the_page_shows_the_table():
    section = PAGE.read_text(encoding="utf-8").partition("\n## The client's states\n")[2].partition("\n## ")[0]
    shown = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    assert shown == table()


@models
def test_a_session_walks_the_table(adversary: AdversaryModel):
    live = Live(make_params(adversary))
    session, walked = live.clients[A], []

    def look() -> None:
        if session._state is not None:
            row = transition_of(session._state)
            assert adversary in row.models
            assert type(session._state._peek()) is row.holds
            assert row.stage is live.server.stage
            assert session.wants_input is row.takes_input
            assert type(decode(live.outbound[A], SERVER, live.params, session_id=live.server.session_id)) is row.expects
            reply = []
            take = live.server.receive

            def heard(sender: int, data: bytes) -> None:
                if sender == A:
                    reply.append(type(decode(data, A, live.params, session_id=live.server.session_id)))
                take(sender, data)

            live.server.receive = heard  # type: ignore[method-assign]
            walked.append((row, reply))

    live.check(live.run(between=look))
    assert session._state is None
    rows = [row for row, _ in walked]
    assert rows == [row for row in TRANSITIONS if adversary in row.models]
    assert [row.answers for row in rows] == [replies[0] for _, replies in walked]
    for row, after in zip(rows, [*rows[1:], None], strict=True):
        assert (None if after is None else after.state) in row.follows


@models
def test_every_state_of_a_model_is_reached_by_one_row_of_it(adversary: AdversaryModel):
    rows = [row for row in TRANSITIONS if adversary in row.models]
    for row in rows:
        following = [state for state in row.follows if state is None or adversary in _row(state).models]
        assert len(following) == 1
    assert len({row.holds for row in rows}) == len(rows), "a snapshot's content says which state it is of"


UNEXPECTED = [(model, row, sent) for model, row in WAITING for sent in MESSAGES if sent is not row.expects]


@pytest.mark.parametrize(
    ("adversary", "row", "sent"),
    UNEXPECTED,
    ids=[f"{model.name}-{row.state.__name__}-{sent.__name__}" for model, row, sent in UNEXPECTED],
)
def test_any_message_but_the_expected_one_ends_the_session_and_the_expected_one_is_named(
    adversary: AdversaryModel, row: Transition, sent: type[Message]
):
    live, session = waiting(adversary, row)
    with pytest.raises(UnexpectedMessageError) as caught:
        session.receive(encode(MESSAGES[sent], live.params.suite, live.server.session_id), vector=live.vectors[A])
    assert caught.value.culprit is SERVER
    assert (caught.value.received, caught.value.expected) == (sent.__name__, row.expects.__name__)
    assert session.over
    assert session.phase == "over"


@every_state
def test_a_transition_refuses_a_state_and_a_message_that_are_not_its_own(adversary: AdversaryModel, row: Transition):
    _, session = waiting(adversary, row)
    for other in TRANSITIONS:
        for message in MESSAGES.values():
            if (other.state, type(message)) != (row.state, row.expects):
                with pytest.raises(UnexpectedMessageError):
                    other.take(session._state, message, Input())
    assert not session._state.spent


@every_state
def test_what_a_state_holds_is_restored_as_that_state(adversary: AdversaryModel, row: Transition):
    live, session = waiting(adversary, row)
    held = msgspec.structs.replace(session._state._peek())
    assert type(restored(held, adversary, live.identities.get(A))) is row.state
    other = next(model for model in AdversaryModel if model is not adversary)
    if other not in row.models and not [one for one in TRANSITIONS if one.holds is row.holds and other in one.models]:
        with pytest.raises(InvalidStateError, match=other.name):
            restored(held, other, None)


def test_what_the_caller_gives_shows_no_vector():
    shown = repr(Input(np.array([4242, 17]), bytes(32)))
    assert shown.startswith("Input(")
    assert "4242" not in shown
