"""A server asks for help to unmask, and the round is not in its ledger with the plan's figures."""

import json
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from dp.ledger.audit import Verdict, audit
from dp.ledger.errors import RoundRefusedError
from dp.ledger.records import NO_HEAD, Close, Reserve, Settle
from dp.vocabulary import DISTRIBUTED_DISCRETE_GAUSSIAN, SampleKnownTo, Sampling
from fl.private.messages import Offer, Step, Task, encode_round_message
from secagg.errors import MalformedMessageError, StateSpentError, StrayMessageError, UnexpectedMessageError
from secagg.params import AdversaryModel
from secagg.protocol.messages import Abort as AbortMessage
from secagg.protocol.messages import AbortCode
from secagg.protocol.wire import encode
from tests.kit.ledger_scene import canonical
from tests.kit.private_round_scene import ACTIVE, CURIOUS, VICTIM, Scene, both_models, chain, planned, record


@pytest.fixture(autouse=True, params=[False, True], ids=["alone", "pipelined"])
def graph(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """These rounds have graphs of their own."""
    monkeypatch.setattr(Scene, "pipelined", request.param)


def asked(folder: Path, adversary: AdversaryModel = CURIOUS, **changes: Any) -> Scene:
    """Returns a round in which the requests to unmask lie in `outbound`, and the reserve in the ledger."""
    scene = Scene(folder, planned(adversary=adversary, **changes)).begin().until("unmask")
    (line,) = scene.lines()
    assert isinstance(record(line), Reserve)
    return scene


@both_models
def test_without_a_reserve_nobody_unmasks(tmp_path: Path, adversary: AdversaryModel):
    scene = asked(tmp_path, adversary)
    error = scene.nobody_unmasks(lambda client: scene.step(client, ledger=()), RoundRefusedError)
    assert (error.rule, error.offered, error.accepted) == ("reserve", "0 lines", "a reserve of round 1")


@both_models
def test_a_request_that_hides_in_an_offer_is_refused(tmp_path: Path, adversary: AdversaryModel):
    # An offer needs no reserve. So it must not carry the session on, whatever else it says.
    scene = asked(tmp_path, adversary)
    plan = scene.plan

    def lie(client: int) -> bytes:
        session = scene.session_of(client)
        if client == VICTIM:
            return encode_round_message(Offer(plan.digest, 1, session))
        if client == scene.ids[0]:
            return encode_round_message(Offer(plan.digest, 2, session))
        return encode_round_message(Offer(b"", 0, session))

    error = scene.nobody_unmasks(lie, UnexpectedMessageError)
    assert (error.received, error.expected) == ("Offer", "Step")
    assert [scene.counters[client]._load().witnessed for client in scene.ids] == [0] * 5


@both_models
def test_a_request_that_hides_in_a_task_is_refused(tmp_path: Path, adversary: AdversaryModel):
    scene = asked(tmp_path, adversary)
    error = scene.nobody_unmasks(
        lambda client: encode_round_message(Task(1.0, scene.lines(client), scene.session_of(client))),
        UnexpectedMessageError,
    )
    assert error.received == "Task"
    assert [scene.counters[client]._load().witnessed for client in scene.ids] == [0] * 5


@both_models
@pytest.mark.parametrize("stage", ["share_keys", "masked_input"])
def test_no_message_of_the_session_hides_in_an_offer(tmp_path: Path, adversary: AdversaryModel, stage: str):
    scene = Scene(tmp_path, planned(adversary=adversary)).begin().until(stage)
    lie = encode_round_message(Offer(scene.plan.digest, 1, scene.session_of()))
    scene.refused(VICTIM, lie, UnexpectedMessageError)
    assert scene.finish(silent={VICTIM}).survivors == 4


@both_models
def test_a_reserve_of_another_session_is_refused(tmp_path: Path, adversary: AdversaryModel):
    scene = asked(tmp_path, adversary)
    error = scene.nobody_unmasks(
        lambda client: scene.step(client, ledger=scene.reserve_lines(client, context=bytes(32))), RoundRefusedError
    )
    assert error.rule == "reserve"
    assert error.offered == f"context {bytes(32).hex()}"
    assert error.accepted == f"context {scene.server._session.context.hex()}"


LIES: dict[str, Any] = {
    "round": 2,
    "session": b"another session.",
    "mechanism": DISTRIBUTED_DISCRETE_GAUSSIAN,
    "sampling": Sampling(SampleKnownTo.NOBODY, population=1000, sample=5),
    "invited": 6,
    "min_survivors": 5,
    "threshold": 2,
    "squared_norm_bound": lambda genuine: genuine.squared_norm_bound - 1,
    "l1_bound": lambda genuine: genuine.l1_bound - 1,
    "dimension": 15,
    "modulus_bits": lambda genuine: genuine.modulus_bits + 1,
    "local_variance": lambda genuine: genuine.local_variance - Fraction(1, 10**9),
    "clip_bit_variance": Fraction(1),
    "context": bytes(32),
    "clip_norm": Fraction(2),
    "scale": Fraction(1),
    "rounding": Fraction(1, 2),
}
"""Every field with a value that is not the plan's, or how to make one of the genuine reserve; some of them make the
round look cheaper."""

UNCHECKED = {"epsilon", "roster", "mechanism_version", "sampler", "label", "run", "evidence"}
"""A client does not work the claimed epsilon out, and is not told the roster: that is left to the audit. Version and
sampler have one value only, and no line with another is read. No epsilon depends on the last three."""


def test_every_field_of_a_reserve_is_lied_about_here():
    assert {field.name for field in fields(Reserve)} == LIES.keys() | UNCHECKED


@pytest.mark.parametrize("field", LIES)
def test_a_reserve_with_another_figure_than_the_plans_is_refused(tmp_path: Path, field: str):
    scene = asked(tmp_path)
    reserve = record(scene.lines()[0])
    lie = LIES[field](reserve) if callable(LIES[field]) else LIES[field]
    assert getattr(reserve, field) != lie
    error = scene.nobody_unmasks(
        lambda client: scene.step(client, ledger=scene.reserve_lines(client, **{field: lie})),
        RoundRefusedError,
        # What the counter itself compares is refused before the round counts as seen.
        keeps_counter=field in ("round", "context"),
    )
    assert error.rule == "reserve"
    if field not in ("round", "context"):
        assert error.offered == f"{field} {lie}"
        assert error.accepted == f"{field} {getattr(reserve, field)}"


@pytest.mark.parametrize(
    ("field", "lie"), [("local_variance", Fraction(1, 2)), ("min_survivors", 5), ("squared_norm_bound", 1)]
)
def test_a_server_that_pays_less_is_refused_in_the_active_model_too(tmp_path: Path, field: str, lie: Any):
    scene = asked(tmp_path, ACTIVE)
    error = scene.nobody_unmasks(
        lambda client: scene.step(client, ledger=scene.reserve_lines(client, **{field: lie})),
        RoundRefusedError,
        keeps_counter=False,
    )
    assert (error.rule, error.offered) == ("reserve", f"{field} {lie}")


@pytest.mark.parametrize(("field", "lie"), [("mechanism_version", 2), ("sampler", "quick/1"), ("schema", 1)])
def test_a_reserve_by_other_rules_is_refused(tmp_path: Path, field: str, lie: Any):
    scene = asked(tmp_path)
    line = canonical(json.loads(scene.lines()[0]) | {field: lie})
    error = scene.nobody_unmasks(lambda client: scene.step(client, ledger=(line,)), RoundRefusedError)
    assert error.rule == "extension"


def test_a_claimed_epsilon_that_is_too_small_is_found_by_the_audit(tmp_path: Path):
    # The client holds the server to the figures that epsilon follows from, and to showing them to everybody.
    scene = asked(tmp_path)
    lines = scene.reserve_lines(epsilon=Fraction(1, 100))
    assert scene.deliver(VICTIM, scene.step(ledger=lines)) is not None
    shown = tmp_path / "what the client saw"
    shown.write_bytes(b"".join((*scene.ledger.lines_since(NO_HEAD)[:1], *lines)))
    report = audit([shown], expected_head=scene.counters[VICTIM].head)
    assert report.verdict is Verdict.WRONG_FIGURE
    assert audit([tmp_path / "ledger"], expected_head=scene.counters[VICTIM].head).verdict is Verdict.BROKEN


@both_models
def test_the_reserve_of_another_round_is_refused(tmp_path: Path, adversary: AdversaryModel):
    scene = Scene(tmp_path, planned(adversary=adversary)).begin()
    first = scene.until("unmask").lines()
    scene.finish()
    scene.begin(2).until("unmask")
    # As it was; and written again behind what the client has seen since.
    assert scene.refused(VICTIM, scene.step(ledger=first), RoundRefusedError).rule == "extension"
    victim = scene.ids[0]
    head = scene.counters[victim].head
    assert head is not None
    error = scene.refused(victim, scene.step(victim, ledger=chain([record(first[0])], head)), RoundRefusedError)
    assert (error.rule, error.accepted) == ("reserve", "a reserve of round 2")


@both_models
def test_a_reserve_that_follows_from_nothing_the_client_saw_is_refused(tmp_path: Path, adversary: AdversaryModel):
    scene = asked(tmp_path, adversary)
    lines = scene.lines()
    for client, lie in zip(
        scene.ids,
        (
            chain([record(lines[0])], bytes(32)),
            (lines[0], lines[0]),
            (lines[0][:-1],),
            (*chain([Settle(round=1, survivors=5)], bytes(32)), *lines),
            (b"\xff",),
        ),
        strict=True,
    ):
        assert scene.refused(client, scene.step(client, ledger=lie), RoundRefusedError).rule == "extension"


def test_a_new_file_with_other_assumptions_is_refused_behind_the_reserve(tmp_path: Path):
    scene = asked(tmp_path)
    reserve, header = record(scene.lines()[0]), replace(scene.plan.header(), colluders=0)
    head = scene.counters[VICTIM].head
    assert head is not None
    lie = scene.step(ledger=chain([reserve, Close(), header], head))
    error = scene.refused(VICTIM, lie, RoundRefusedError, keeps_counter=False)
    assert (error.rule, error.offered, error.accepted) == ("extension", 0, "at least 1")


@both_models
def test_one_reserve_serves_one_answer(tmp_path: Path, adversary: AdversaryModel):
    scene = asked(tmp_path, adversary)
    request = scene.outbound[VICTIM]
    answer = scene.deliver(VICTIM)
    before = scene.files()
    # The same request has the same answer, with whatever lines it comes; another one has none.
    assert scene.deliver(VICTIM, request) == answer
    assert scene.deliver(VICTIM, scene.step(ledger=())) == answer
    other = scene.altered(**({"signers": b"\x1e"} if adversary is ACTIVE else {"survivors": b"\x1e", "total": 4}))
    for session in (other, scene.altered()[:-1]):
        with pytest.raises((StateSpentError, MalformedMessageError)):
            scene.deliver(VICTIM, scene.step(session=session))
    assert scene.files() == before
    assert scene.finish().survivors == 5


@both_models
def test_garbage_does_not_spend_the_reserve(tmp_path: Path, adversary: AdversaryModel):
    scene = asked(tmp_path, adversary)
    before = scene.files()
    for garbage in (b"", scene.session_of()[:-1], scene.session_of() + b"\x00", bytes(50)):
        with pytest.raises(MalformedMessageError):
            scene.deliver(VICTIM, encode_round_message(Step(scene.lines(), garbage)))
    with pytest.raises(MalformedMessageError):
        scene.deliver(VICTIM, scene.session_of())
    assert scene.files() == before
    assert scene.finish().survivors == 5


@both_models
def test_the_server_may_end_the_round_without_a_reserve(tmp_path: Path, adversary: AdversaryModel):
    scene = asked(tmp_path, adversary)
    before = scene.files()
    assert scene.deliver(VICTIM, scene.server.abort_message(AbortCode.TOO_FEW_CLIENTS)) is None
    assert scene.clients[VICTIM].over
    assert scene.files() == before
    with pytest.raises(StateSpentError):
        scene.deliver(VICTIM)


@both_models
def test_no_request_that_looks_like_an_end_gets_an_answer(tmp_path: Path, adversary: AdversaryModel):
    # An abort of another session is stray, and one of this session ends it: neither is a way past the reserve.
    scene = asked(tmp_path, adversary)
    session = scene.server._session
    foreign = encode(AbortMessage(AbortCode.LEAVING), session.params.suite, bytes(16))
    with pytest.raises(StrayMessageError):
        scene.deliver(VICTIM, encode_round_message(Step((), foreign)))
    assert not scene.clients[VICTIM].over
    scene.refused(VICTIM, scene.step(ledger=()), RoundRefusedError)
