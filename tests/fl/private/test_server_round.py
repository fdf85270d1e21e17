"""fl.private.server_round: nothing begins beyond the budget, is asked before it is reserved, or is settled twice."""

import copy
import math
import pickle
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dp.errors import BudgetExceededError
from dp.errors import InvalidParameterError as FigureError
from dp.ledger.audit import Verdict, audit
from dp.ledger.errors import LedgerRefusedError, RoundRefusedError
from dp.ledger.records import NO_HEAD, Reserve, Settle
from dp.ledger.signing import LedgerKey
from dp.ledger.writer import Ledger
from dp.vocabulary import Relation, Unit
from fl.errors import PlanMismatchError
from fl.private.messages import (
    Joined,
    Offer,
    Step,
    Task,
    decode_joined,
    decode_round_message,
    encode_round_message,
)
from fl.private.private_sum import PrivateSum
from fl.private.server_round import ServerRound
from secagg.errors import (
    AuthenticationError,
    InvalidInputError,
    InvalidParameterError,
    InvalidStateError,
    MalformedMessageError,
    StateSpentError,
    TooFewClientsError,
    UnexpectedMessageError,
)
from secagg.params import AdversaryModel
from secagg.protocol.messages import AbortCode
from tests.kit.private_round_scene import (
    ACTIVE,
    ADAPTIVE,
    CURIOUS,
    IDS,
    VICTIM,
    Scene,
    at,
    both_models,
    planned,
    public_keys,
    record,
)


def refused_to_begin(scene: Scene, failure: type[Exception], *arguments: Any, **options: Any) -> Any:
    """The server refuses before anybody is invited; nothing is written."""
    before = scene.files()
    given = arguments or (1, scene.ids)
    if not arguments:
        options = {"identities": public_keys(scene.plan), **options}
    with pytest.raises(failure) as refused:
        ServerRound(scene.plan, scene.ledger, *given, **options)
    assert type(refused.value) is failure
    assert scene.files() == before
    return refused.value


# ---------------------------------------------------------------------------------------------------- Beginning
@both_models
def test_a_round_that_would_exceed_the_budget_ends_before_anybody_is_invited(tmp_path: Path, adversary: AdversaryModel):
    scene = Scene(tmp_path, planned(adversary=adversary))
    one = scene.ledger.epsilon_with(scene.plan.reserve(1, bytes(16), clip=1.0, context=bytes(32), roster=bytes(32)))
    poor = Ledger.create(tmp_path / "poor", replace(scene.plan.header(), budget=Fraction(one) - Fraction(1, 1000)))
    scene.ledger.close()
    scene.ledger = poor
    error = refused_to_begin(scene, BudgetExceededError)
    assert (error.spent, error.budget) == (one, pytest.approx(one - 1e-3))
    assert len(poor.lines_since(NO_HEAD)) == 1


@pytest.mark.slow
def test_the_rounds_of_the_plan_fit_its_budget_and_one_more_does_not(tmp_path: Path):
    # Rounds of another plan of the same budget count with this one's.
    plan = planned(adversary=CURIOUS)
    scene = Scene(tmp_path, plan)
    for number in (1, 2, 3):
        scene.whole_round(number)
    assert scene.ledger.spent <= 20
    other = planned(adversary=CURIOUS, rounds=10, epsilon=30.0)
    with pytest.raises(BudgetExceededError):
        ServerRound(other, scene.ledger, 4, scene.ids)
    # The plan itself has no such round.
    assert refused_to_begin(scene, PlanMismatchError, 4, scene.ids).what == "round"


def test_a_budget_spent_in_between_ends_the_round_before_anybody_unmasks(tmp_path: Path):
    scene = at(tmp_path, "masked_input")
    # Another round of the same budget was faster.
    for number in (2, 3, 4):
        scene.ledger.reserve(scene.plan.reserve(number, bytes(16), clip=1.0, context=bytes(32), roster=bytes(32)))
    scene.ledger.close()
    lines = len(Path(tmp_path / "ledger").read_bytes().splitlines())
    scene.ledger = Ledger.open(tmp_path / "ledger")
    scene.server._ledger = scene.ledger
    before = scene.files()
    outbound = scene.server.outbound
    with pytest.raises(BudgetExceededError):
        scene.exchange()
    assert scene.files()["ledger"] == before["ledger"]
    assert len(before["ledger"].splitlines()) == lines == 4
    assert scene.server.outbound == outbound
    for call in (scene.server.close_stage, scene.server.to_bytes, lambda: scene.server.receive(VICTIM, b"")):
        with pytest.raises(StateSpentError):
            call()
    assert scene.server.survivors == frozenset()


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("scope", {"scope": "ward 8"}),
        ("unit", {"unit": Unit.EXAMPLE}),
        ("relation", {"relation": Relation.REPLACE_ONE}),
        ("delta", {"delta": Fraction(1, 10**4)}),
        ("colluders", {"colluders": 0}),
    ],
)
def test_the_ledger_of_another_run_is_refused(tmp_path: Path, what: str, change: dict[str, Any]):
    scene = Scene(tmp_path, planned(adversary=CURIOUS))
    scene.ledger = Ledger.create(tmp_path / "another", replace(scene.plan.header(), **change))
    error = refused_to_begin(scene, PlanMismatchError)
    assert error.what == f"ledger ({what})"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_ledger_that_is_more_careful_is_taken(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS))
    header = replace(scene.plan.header(), colluders=2, budget=Fraction(100))
    scene.ledger = Ledger.create(tmp_path / "another", header, LedgerKey(bytes(32)))
    scene.ledger.sign_head()
    assert scene.whole_round().survivors == 5
    assert scene.ledger.spent > 20 / 3


def test_a_ledger_that_trusts_nobody_is_refused(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS))
    scene.ledger = Ledger.create(tmp_path / "another", replace(scene.plan.header(), colluders=4))
    assert refused_to_begin(scene, FigureError).parameter == "min_survivors"


@pytest.mark.parametrize("number", [0, 4, -1, True, 1.0, None, "1"])
def test_a_round_that_the_plan_does_not_have_is_refused(tmp_path: Path, number: Any):
    scene = Scene(tmp_path, planned(adversary=CURIOUS))
    assert refused_to_begin(scene, PlanMismatchError, number, scene.ids).what == "round"


@pytest.mark.parametrize("clip", [2.0, math.nan, 0.0, -1.0])
def test_a_clip_norm_that_the_plan_does_not_have_is_refused(tmp_path: Path, clip: float):
    scene = Scene(tmp_path, planned(adversary=CURIOUS))
    assert refused_to_begin(scene, PlanMismatchError, 1, scene.ids, clip=clip).what == "clip norm"


@pytest.mark.parametrize(
    ("ids", "failure"),
    [
        (IDS[:4], InvalidInputError),
        (IDS[:6], InvalidInputError),
        ((*IDS[:4], IDS[0]), InvalidInputError),
        ((), InvalidInputError),
        ((*IDS[:4], -1), InvalidParameterError),
        ((*IDS[:4], "x"), InvalidParameterError),
    ],
    ids=["fewer", "more", "twice", "none", "negative", "text"],
)
def test_other_clients_than_the_plans_are_refused(tmp_path: Path, ids: Any, failure: type[Exception]):
    scene = Scene(tmp_path, planned(adversary=CURIOUS))
    refused_to_begin(scene, failure, 1, ids)


def test_identities_are_needed_where_the_plan_says_so_and_refused_elsewhere(tmp_path: Path):
    scene = Scene(tmp_path / "active", planned(adversary=ACTIVE))
    keys = public_keys(scene.plan)
    assert keys is not None
    for some in (None, {}, {client: keys[client] for client in scene.ids[1:]}):
        refused_to_begin(scene, InvalidInputError, 1, scene.ids, identities=some)
    curious = Scene(tmp_path / "curious", planned(adversary=CURIOUS))
    refused_to_begin(curious, InvalidParameterError, 1, curious.ids, identities=keys)


def test_a_closed_ledger_is_refused_at_the_reserve(tmp_path: Path):
    scene = at(tmp_path, "masked_input")
    scene.ledger.finish()
    with pytest.raises(LedgerRefusedError):
        scene.exchange()
    with pytest.raises(StateSpentError):
        scene.server.close_stage()


# --------------------------------------------------------------------------------------------- Reserve, then settle
@both_models
def test_the_reserve_is_on_the_disk_before_anybody_is_asked_to_unmask(tmp_path: Path, adversary: AdversaryModel):
    scene = Scene(tmp_path, planned(adversary=adversary)).begin()
    path = tmp_path / "ledger"
    while scene.server.stage != "unmask":
        assert len(path.read_bytes().splitlines()) == 1
        assert all(isinstance(decode_round_message(data), Offer | Task | Step) for data in scene.outbound.values())
        scene.exchange()
    lines = path.read_bytes().splitlines(keepends=True)
    reserve = record(lines[1])
    assert isinstance(reserve, Reserve)
    session = scene.server._session
    assert reserve == replace(
        scene.plan.reserve(1, session.session_id, clip=1.0, context=session.context, roster=session.roster_hash or b""),
        epsilon=reserve.epsilon,
    )
    assert scene.ledger.unsettled == (1,)
    assert all(scene.lines(client) == (lines[1],) for client in scene.ids)
    spent = scene.ledger.spent
    released = scene.finish()
    lines = path.read_bytes().splitlines(keepends=True)
    assert record(lines[2]) == Settle(round=1, survivors=released.survivors, members=b"\x1f")
    assert scene.ledger.unsettled == ()
    assert scene.ledger.spent == spent


def test_only_the_task_and_the_request_to_unmask_have_lines(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=ACTIVE)).begin()
    scene.exchange()
    lengths = []
    while scene.server.stage != "unmask":
        lengths.append({len(scene.lines(client)) for client in scene.ids})
        scene.exchange()
    assert lengths == [{0}, {1}, {0}]


@both_models
def test_a_settled_round_is_over(tmp_path: Path, adversary: AdversaryModel):
    scene = at(tmp_path, "unmask", adversary)
    released = scene.finish()
    assert scene.server.survivors == frozenset(scene.ids)
    files = scene.files()
    with pytest.raises(StateSpentError):
        scene.server.close_stage()
    with pytest.raises((StateSpentError, UnexpectedMessageError)):
        scene.server.receive(VICTIM, b"late")
    with pytest.raises(StateSpentError):
        scene.server.to_bytes()
    assert scene.files() == files
    assert isinstance(released, PrivateSum)
    with pytest.raises(LedgerRefusedError):
        scene.ledger.settle(1, 5)


def test_a_disk_that_refuses_the_reserve_ends_the_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scene = at(tmp_path, "masked_input")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dp.ledger.file.LedgerFile.append", full)
    outbound = scene.server.outbound
    with pytest.raises(OSError, match="No space"):
        scene.exchange()
    # Nobody was asked, and nobody will be.
    assert scene.server.outbound == outbound
    monkeypatch.undo()
    for call in (scene.server.close_stage, scene.server.to_bytes):
        with pytest.raises(StateSpentError):
            call()
    assert scene.ledger.unsettled == ()


def test_a_disk_that_refuses_to_settle_loses_the_sum_and_the_round_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    scene = at(tmp_path, "unmask")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dp.ledger.file.LedgerFile.append", full)
    with pytest.raises(OSError, match="No space"):
        scene.exchange()
    monkeypatch.undo()
    assert scene.server.survivors == frozenset()
    with pytest.raises(StateSpentError):
        scene.server.close_stage()
    assert scene.ledger.unsettled == (1,)
    report = audit([tmp_path / "ledger"])
    assert (report.verdict, report.unsettled) == (Verdict.FINE, (1,))


@both_models
def test_too_few_answers_leave_the_round_open(tmp_path: Path, adversary: AdversaryModel):
    scene = at(tmp_path, "masked_input", adversary)
    answers = {client: scene.deliver(client) for client in scene.ids}
    for client in scene.ids[:3]:
        scene.server.receive(client, answers[client] or b"")
    before = scene.files()
    with pytest.raises(TooFewClientsError) as stuck:
        scene.server.close_stage()
    assert (stuck.value.needed, stuck.value.remaining) == (4, 3)
    assert scene.files() == before
    assert scene.server.awaited == frozenset(scene.ids)
    scene.server.receive(scene.ids[3], answers[scene.ids[3]] or b"")
    scene.close()
    released = scene.finish()
    assert released.survivors == 4


@both_models
def test_a_client_that_sends_garbage_is_named_and_the_round_goes_on(tmp_path: Path, adversary: AdversaryModel):
    scene = at(tmp_path, "masked_input", adversary)
    with pytest.raises(MalformedMessageError) as refused:
        scene.server.receive(VICTIM, b"garbage")
    assert refused.value.culprit == VICTIM
    assert scene.server.faults[VICTIM].stage == "masked_input"
    with pytest.raises(InvalidParameterError):
        scene.server.receive(-1, b"garbage")
    assert scene.finish(silent={VICTIM}).survivors == 4


def test_what_a_server_says_of_itself(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS)).begin()
    assert repr(scene.server) == "<ServerRound 1 at advertise_keys>"
    assert scene.server.awaited == frozenset(scene.ids)
    assert (scene.server.received, scene.server.can_close, scene.server.faults) == (frozenset(), False, {})
    for client in scene.ids:
        scene.server.receive(client, scene.deliver(client) or b"")
    assert (scene.server.received, scene.server.can_close) == (frozenset(scene.ids), True)
    assert scene.server.survivors == frozenset()
    for way in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(InvalidStateError):
            way(scene.server)
    message = decode_round_message(scene.server.abort_message(AbortCode.TOO_FEW_CLIENTS))
    assert isinstance(message, Step)
    assert message.ledger == ()


# ------------------------------------------------------------------------------------------------- Offers and tasks
def test_an_offer_is_the_same_for_all(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS)).begin()
    for head in (None, bytes(32), b""):
        assert scene.server.offer(head) == scene.server.invitation


def test_a_task_begins_where_the_client_left_off(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS)).begin()
    absent = scene.ids[0]
    scene.finish(silent={absent})
    scene.begin(2).until("masked_input")
    lines = scene.ledger.lines_since(NO_HEAD)
    assert len(lines) == 3
    # Whoever unmasked has seen the reserve; whoever was absent has seen nothing.
    assert scene.lines(VICTIM) == lines[2:]
    assert scene.lines(absent) == lines
    assert scene.finish().survivors == 5


def test_a_head_that_the_ledger_never_had_gets_all_of_it(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS)).begin()
    for client in scene.ids:
        joined = decode_joined(scene.deliver(client), client)
        lie = {scene.ids[0]: b"x" * 32, scene.ids[1]: b""}.get(client, joined.head)
        scene.server.receive(client, encode_round_message(Joined(lie, joined.session)))
    scene.close()
    scene.until("masked_input")
    assert all(len(scene.lines(client)) == 1 for client in scene.ids)
    with pytest.raises(MalformedMessageError):
        Scene(tmp_path / "other", scene.plan).begin().server.receive(VICTIM, encode_round_message(Joined(b"x", b"")))


def test_clip_norm_and_ledger_are_those_of_when_training_starts(tmp_path: Path):
    """A round is prepared while the one before it is still open."""
    scene = Scene(tmp_path, planned(adversary=CURIOUS, adaptive=ADAPTIVE)).begin(1).until("masked_input")
    earlier = scene.clients, scene.server, scene.outbound
    scene.begin(2).until("share_keys")
    for client in scene.ids:
        scene.server.receive(client, scene.deliver(client))
    scene.server.hold()
    assert scene.server.held
    scene.server = ServerRound.from_bytes(scene.server.to_bytes(), scene.plan, scene.ledger)
    later = scene.clients, scene.server
    scene.clients, scene.server, scene.outbound = earlier
    released = scene.finish()
    scene.clients, scene.server = later
    scene.server.clip = released.next_clip()
    scene.close()
    # All of it: they had seen nothing when they joined. What they have seen since is no news to them.
    assert {len(scene.lines(client)) for client in scene.ids} == {3}
    with pytest.raises(InvalidStateError):
        scene.server.clip = 1.0
    second = scene.finish()
    assert second.clip == released.next_clip() != 1.0
    assert scene.ledger.unsettled == ()
    assert [scene.counters[client].last_round for client in scene.ids] == [2] * 5


def test_a_budget_spent_while_a_round_was_prepared_ends_it_before_anybody_trains(tmp_path: Path):
    scene = at(tmp_path, "share_keys")
    for client in scene.ids:
        scene.server.receive(client, scene.deliver(client))
    for number in (2, 3, 4):
        scene.ledger.reserve(scene.plan.reserve(number, bytes(16), clip=1.0, context=bytes(32), roster=bytes(32)))
    with pytest.raises(BudgetExceededError):
        scene.server.close_stage()
    assert scene.server.stage == "share_keys"
    assert scene.server.outbound != {}


@pytest.mark.parametrize("clip", [0.001, 1000.0, math.nan, -1.0])
def test_a_clip_norm_that_is_set_is_the_plans(tmp_path: Path, clip: float):
    scene = Scene(tmp_path, planned(adversary=CURIOUS, adaptive=ADAPTIVE)).begin()
    with pytest.raises(PlanMismatchError, match="clip norm"):
        scene.server.clip = clip
    assert scene.server.clip == 1.0


def test_a_private_round_may_be_begun_before_it_is_known_who_answers(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=ACTIVE)).begin()
    scene.server = ServerRound(scene.plan, scene.ledger, 1, None, identities=public_keys(scene.plan))
    scene.outbound = dict.fromkeys(scene.ids, scene.server.invitation)
    assert scene.finish().survivors == 5
    settle = record((tmp_path / "ledger").read_bytes().splitlines(keepends=True)[2])
    assert isinstance(settle, Settle)
    assert settle.members == b"\x1f"


def test_a_client_that_was_absent_for_rounds_is_shown_what_it_missed(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS))
    absent = scene.ids[0]
    scene.begin(1).finish()
    scene.begin(2).finish(silent={absent})
    released = scene.begin(3).finish()
    assert released.survivors == 5
    assert scene.counters[absent].last_round == 3


def test_a_second_file_of_the_ledger_is_for_clients_that_saw_the_end_of_the_first(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS))
    scene.whole_round(1)
    head = scene.ledger.finish()
    scene.ledger.close()
    scene.ledger = Ledger.create(tmp_path / "ledger-2", scene.plan.header(), predecessors=[tmp_path / "ledger"])
    scene.begin(2).until("masked_input")
    # Of the first file it has seen the reserve, and what came after that the second one does not show.
    assert scene.refused(VICTIM, scene.outbound[VICTIM], RoundRefusedError).rule == "extension"
    ends = (tmp_path / "ledger").read_bytes().splitlines(keepends=True)[2:]
    for client in scene.ids:
        if client != VICTIM:
            data = scene.task(client, ledger=(*ends, *scene.lines(client)))
            scene.server.receive(client, scene.deliver(client, data) or b"")
    scene.close()
    assert scene.finish(silent={VICTIM}).survivors == 4
    report = audit([tmp_path / "ledger", tmp_path / "ledger-2"], expected_head=head)
    assert (report.verdict, report.unsettled) == (Verdict.FINE, ())


def test_a_ledger_may_grow_between_the_offers_and_the_tasks_and_not_after_them(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS))
    scene.ledger = Ledger.create(tmp_path / "signed", scene.plan.header(), LedgerKey(bytes(32)))
    scene.begin()
    scene.ledger.sign_head()
    scene.until("masked_input")
    assert len(scene.lines()) == 2
    # A client that is shown more does not agree with the others.
    scene.ledger.sign_head()
    more = scene.task(ledger=scene.ledger.lines_since(NO_HEAD))
    with pytest.raises(AuthenticationError):
        scene.server.receive(VICTIM, scene.deliver(VICTIM, more))
    restored = ServerRound.from_bytes(scene.server.to_bytes(), scene.plan, scene.ledger)
    assert dict(restored.outbound) == dict(scene.server.outbound)
    assert scene.finish(silent={VICTIM}).survivors == 4


def test_the_clip_norm_is_the_rounds(tmp_path: Path):
    scene = Scene(tmp_path, planned(adversary=CURIOUS, adaptive=ADAPTIVE))
    released = scene.whole_round(1, clip=0.25)
    assert released.clip == 0.25
    reserve = record((tmp_path / "ledger").read_bytes().splitlines(keepends=True)[1])
    assert isinstance(reserve, Reserve)
    assert reserve.clip_norm == Fraction(0.25)
    assert reserve.clip_bit_variance == scene.plan.noise.clip_bit_variance
    assert np.isfinite(released.next_clip())
