"""A server offers a private round, or sets a task, that the client's plan, its counter or the ledger does not have."""

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from dp.ledger.errors import LedgerRefusedError, RoundRefusedError
from dp.ledger.records import NO_HEAD
from dp.ledger.writer import Ledger
from dp.mechanisms.adaptive_clipping import AdaptiveClipping
from dp.vocabulary import Unit
from fl.errors import PlanMismatchError
from fl.private.messages import Step, Task, encode_round_message
from fl.private.private_sum import PrivateSum
from fl.private.server_round import ServerRound
from secagg.errors import (
    AuthenticationError,
    LocalError,
    MalformedMessageError,
    PolicyViolationError,
    StateSpentError,
    StrayMessageError,
    UnexpectedMessageError,
)
from secagg.params import AdversaryModel
from secagg.primitives.prg import Suite
from tests.kit.private_round_scene import (
    ACTIVE,
    CURIOUS,
    VICTIM,
    Scene,
    both_models,
    chain,
    planned,
    public_keys,
    record,
)

ADAPTIVE = AdaptiveClipping(1.0, 1.0, smallest=0.01, largest=100.0)


@pytest.fixture(autouse=True, params=[False, True], ids=["alone", "pipelined"])
def graph(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """These rounds have graphs of their own."""
    monkeypatch.setattr(Scene, "pipelined", request.param)


def begun(folder: Path, adversary: AdversaryModel = CURIOUS, **changes: Any) -> Scene:
    return Scene(folder, planned(adversary=adversary, **changes)).begin()


def tasked(folder: Path, adversary: AdversaryModel = CURIOUS, **changes: Any) -> Scene:
    """Returns a round whose tasks lie in `outbound`: nobody has counted it yet."""
    return begun(folder, adversary, **changes).until("masked_input")


def goes_on_without_victim(scene: Scene) -> PrivateSum:
    """After a task that was refused: the client is out of the round, and has counted nothing."""
    released = scene.finish(silent={VICTIM})
    assert released.survivors == scene.plan.clients - 1
    return released


def goes_on(scene: Scene) -> PrivateSum:
    """After what was refused, the genuine round: nothing was spent."""
    released = scene.finish()
    assert released.survivors == scene.plan.clients
    return released


@pytest.mark.slow
@both_models
def test_another_plan_is_refused(tmp_path: Path, adversary: AdversaryModel):
    scene = begun(tmp_path, adversary)
    other = planned(adversary=adversary, scope="ward 8")
    error = scene.refused_offer(scene.offer(plan_digest=other.digest), PlanMismatchError)
    assert (error.what, error.offered, error.expected) == ("plan", other.digest.hex(), scene.plan.digest.hex())
    for digest in (b"", bytes(32), scene.plan.digest + b"\x00"):
        assert scene.refused_offer(scene.offer(plan_digest=digest), PlanMismatchError).what == "plan"
    goes_on(scene)


@pytest.mark.slow
def test_a_server_that_claims_this_plan_and_runs_another_session_is_refused(tmp_path: Path):
    # Noise for fewer survivors, a smaller modulus, a shorter vector: whatever the other plan has.
    scene = begun(tmp_path / "ours", ACTIVE, clients=8, max_dropouts=1)
    for changes in ({"max_dropouts": 2}, {"modulus_bits": 24}, {"adaptive": ADAPTIVE}):
        theirs = begun(tmp_path / str(changes), ACTIVE, clients=8, **({"max_dropouts": 1} | changes))
        error = scene.refused_offer(scene.offer(session=theirs.session_of()), PlanMismatchError)
        assert error.what.startswith("session (")
    goes_on(scene)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("threshold", {"threshold": 4, "min_survivors": 5}),
        ("threshold", {"threshold": 4, "min_survivors": 6}),
        ("min_survivors", {"min_survivors": 7}),
        ("adversary", {"adversary": ACTIVE}),
        ("suite", {"suite": Suite.CHACHA20}),
        ("neighbours", {"neighbours": 6, "threshold": 5}),
        ("cohort_size", {"cohort_size": 7, "neighbours": 6}),
        ("cohort_size", {"cohort_size": 9, "neighbours": 8}),
        ("vector_length", {"vector_length": 15}),
        ("modulus_bits", {"modulus_bits": 7}),
    ],
)
def test_a_session_with_other_terms_than_the_plans_is_refused(tmp_path: Path, field: str, changes: dict[str, Any]):
    scene = begun(tmp_path, clients=8, max_dropouts=2)
    error = scene.refused_offer(scene.offer(session=scene.invitation(**changes)), PlanMismatchError)
    assert error.what == f"session ({field})"
    goes_on(scene)


@both_models
@pytest.mark.parametrize("clip", [2.0, 0.5, math.nextafter(1.0, 2.0), math.nan, math.inf, -1.0, 0.0])
def test_another_clip_norm_is_refused_where_it_does_not_adapt(tmp_path: Path, adversary: AdversaryModel, clip: float):
    scene = tasked(tmp_path, adversary)
    error = scene.refused(VICTIM, scene.task(clip=clip), PlanMismatchError)
    assert (error.what, error.expected) == ("clip norm", 1.0)
    goes_on_without_victim(scene)


@pytest.mark.parametrize("clip", [0.0099, 101.0, math.nan])
def test_a_clip_norm_that_adapts_is_in_its_range(tmp_path: Path, clip: float):
    scene = tasked(tmp_path, adaptive=ADAPTIVE)
    assert scene.refused(VICTIM, scene.task(clip=clip), PlanMismatchError).what == "clip norm"
    goes_on_without_victim(scene)


def test_clients_with_different_clip_norms_mask_differently(tmp_path: Path):
    # Clients that scale by different norms would add up what does not belong together.
    scene = tasked(tmp_path, adaptive=ADAPTIVE)
    reply = scene.deliver(VICTIM, scene.task(clip=2.0))
    with pytest.raises(AuthenticationError, match="another model digest or round"):
        scene.server.receive(VICTIM, reply)
    goes_on_without_victim(scene)


@both_models
@pytest.mark.parametrize("number", [0, 4, -1, 2**63])
def test_a_round_beyond_the_plan_is_refused(tmp_path: Path, adversary: AdversaryModel, number: int):
    scene = begun(tmp_path, adversary)
    error = scene.refused_offer(scene.offer(round_number=number), PlanMismatchError)
    assert (error.what, error.offered, error.expected) == ("round", number, "1 to 3")
    goes_on(scene)


def test_another_round_than_the_sessions_is_refused(tmp_path: Path):
    scene = begun(tmp_path)
    error = scene.refused(VICTIM, scene.offer(round_number=2), PolicyViolationError, keeps_counter=False)
    assert (error.rule, error.offered, error.accepted) == ("round_number", 1, 2)


@both_models
def test_a_round_is_played_once(tmp_path: Path, adversary: AdversaryModel):
    scene = begun(tmp_path, adversary)
    first = scene.outbound[VICTIM]
    scene.finish()
    # The very same offer, and a new one of the round by a server that forgot its ledger.
    fresh = Scene(tmp_path / "fresh", scene.plan).begin()
    for offer in (first, fresh.outbound[VICTIM]):
        scene.clients[VICTIM] = scene.client(VICTIM)
        error = scene.refused_offer(offer, RoundRefusedError)
        assert (error.rule, error.offered) == ("round", 1)


@both_models
def test_of_two_sessions_of_one_round_in_parallel_one_gets_a_vector(tmp_path: Path, adversary: AdversaryModel):
    # The second one's sum could be subtracted from the first one's.
    scene = tasked(tmp_path / "one", adversary)
    first = scene.clients, scene.server, scene.outbound
    scene.begin().until("masked_input")
    twin = scene.clients[VICTIM], scene.outbound[VICTIM]
    scene.clients, scene.server, scene.outbound = first
    # Nor does the client that is in the first one change over to another: it leaves.
    other = Scene(tmp_path / "other", scene.plan).begin()
    released = scene.finish()
    assert released.survivors == 5
    playing, scene.clients[VICTIM] = scene.clients[VICTIM], twin[0]
    with pytest.raises(RoundRefusedError) as refused:
        scene.deliver(VICTIM, twin[1])
    assert (refused.value.rule, refused.value.offered, refused.value.accepted) == ("round", 1, "above 1, the last one")
    assert twin[0].over
    assert playing is not twin[0]
    assert other.server.invitation != scene.server.invitation


@both_models
def test_a_client_does_not_change_over_to_another_session(tmp_path: Path, adversary: AdversaryModel):
    scene = begun(tmp_path, adversary)
    scene.exchange()
    twin = ServerRound(scene.plan, scene.ledger, 1, scene.ids, identities=public_keys(scene.plan))
    refused = scene.refused(VICTIM, twin.invitation, UnexpectedMessageError)
    assert (refused.received, refused.expected) == ("Offer", "Step")
    # The others end the round, and the twin has no place in the ledger.
    assert scene.finish(silent={VICTIM}).survivors == 4
    with pytest.raises(LedgerRefusedError):
        scene.ledger.reserve(scene.plan.reserve(1, bytes(16), clip=1.0, context=bytes(32), roster=bytes(32)))


@both_models
def test_of_two_rounds_in_parallel_only_the_later_one_is_unmasked(tmp_path: Path, adversary: AdversaryModel):
    scene = begun(tmp_path, adversary).until("unmask")
    earlier = scene.clients, scene.server, scene.outbound
    scene.ledger.settle(1, 5)
    scene.begin(2).until("masked_input")
    scene.exchange()
    scene.clients, scene.server, scene.outbound = earlier
    lines = scene.lines()

    def lie(client: int) -> bytes:
        # The genuine step; with no line, as if the reserve had been seen; with a reserve that follows what was seen.
        reserve = replace(record(lines[0]), round=2 if client == scene.ids[2] else 1)  # type: ignore[arg-type]
        forged = chain([reserve], scene.counters[client].head or NO_HEAD)
        return scene.step(client, ledger={scene.ids[0]: lines, scene.ids[1]: ()}.get(client, forged))

    scene.nobody_unmasks(lie, RoundRefusedError, keeps_counter=False)
    assert scene.counters[VICTIM].last_round == 2


@both_models
def test_a_fresh_ledger_is_refused(tmp_path: Path, adversary: AdversaryModel):
    scene = begun(tmp_path, adversary)
    scene.finish()
    # Another file of the same budget, in which the first round never was.
    fresh = Ledger.create(tmp_path / "another", replace(scene.plan.header(), budget=Fraction(1000)))
    genuine, scene.ledger = scene.ledger, fresh
    scene.begin(2).until("masked_input")
    error = scene.refused(VICTIM, scene.outbound[VICTIM], RoundRefusedError)
    assert error.rule == "extension"
    scene.ledger = genuine
    assert scene.begin(2).finish().survivors == 5


@pytest.mark.parametrize("lie", ["other", "cut", "gap", "twice"])
def test_a_ledger_that_lost_its_last_lines_is_refused(tmp_path: Path, lie: str):
    scene = begun(tmp_path)
    scene.finish()
    lines = scene.ledger.lines_since(NO_HEAD)
    # The client saw the reserve. What follows the lines before it is another story.
    other = chain([record(lines[0]), replace(record(lines[1]), round=2), record(lines[2])])  # type: ignore[arg-type]
    lies = {"other": other, "cut": lines[:1], "gap": (lines[0], lines[2]), "twice": (*lines, lines[-1])}
    scene.begin(2).until("masked_input")
    assert scene.refused(VICTIM, scene.task(ledger=lies[lie]), RoundRefusedError).rule == "extension"
    goes_on_without_victim(scene)


@pytest.mark.parametrize("lie", range(7))
def test_a_ledger_without_its_header_is_refused(tmp_path: Path, lie: int):
    scene = tasked(tmp_path)
    (header,) = scene.lines()
    reserve = scene.plan.reserve(1, bytes(16), clip=1.0, context=bytes(32), roster=bytes(32))
    lies = ((), chain([reserve]), (header[:-1],), (b"",), (b"{}\n",), (header + header,), (header, header))
    error = scene.refused(VICTIM, scene.task(ledger=lies[lie]), RoundRefusedError)
    assert error.rule == "extension"
    goes_on_without_victim(scene)


def test_a_ledger_that_has_the_round_already_is_refused(tmp_path: Path):
    scene = tasked(tmp_path)
    reserve = scene.plan.reserve(1, bytes(16), clip=1.0, context=bytes(32), roster=bytes(32))
    lie = chain([scene.plan.header(), reserve])
    assert scene.refused(VICTIM, scene.task(ledger=lie), RoundRefusedError).rule == "round"
    goes_on_without_victim(scene)


@both_models
def test_clients_with_different_ledgers_mask_differently(tmp_path: Path, adversary: AdversaryModel):
    # The client is shown one ledger, and the others another: both are sound.
    scene = tasked(tmp_path, adversary)
    lie = chain([replace(scene.plan.header(), budget=Fraction(21))])
    reply = scene.deliver(VICTIM, scene.task(ledger=lie))
    with pytest.raises(AuthenticationError, match="another model digest or round"):
        scene.server.receive(VICTIM, reply)
    # The round is counted, and has not happened for this client.
    assert scene.counters[VICTIM].last_round == 1
    scene.clients[VICTIM] = scene.client(VICTIM)
    assert scene.refused_offer(scene.server.invitation, RoundRefusedError).rule == "round"
    goes_on_without_victim(scene)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("delta", {"delta": Fraction(1, 2)}),
        ("colluders", {"colluders": 0}),
        ("unit", {"unit": Unit.EXAMPLE}),
        ("scope", {"scope": "ward 8"}),
    ],
)
def test_a_ledger_that_counts_something_else_is_refused(tmp_path: Path, what: str, change: dict[str, Any]):
    scene = tasked(tmp_path)
    lie = chain([replace(scene.plan.header(), **change)])
    error = scene.refused(VICTIM, scene.task(ledger=lie), PlanMismatchError)
    assert error.what == f"ledger ({what})"
    goes_on_without_victim(scene)


def test_the_counter_of_another_run_refuses(tmp_path: Path):
    # The client's own memory is of a ledger with another history.
    scene = begun(tmp_path / "one")
    scene.finish()
    another = Scene(tmp_path / "other", scene.plan)
    another.counters[VICTIM] = scene.counters[VICTIM]
    another.begin(2).until("masked_input")
    assert another.refused(VICTIM, another.outbound[VICTIM], RoundRefusedError).rule == "extension"


def test_a_task_without_an_offer_and_a_step_in_its_place_are_refused(tmp_path: Path):
    scene = tasked(tmp_path)
    fresh = scene.client(VICTIM)
    with pytest.raises(StrayMessageError):
        fresh.receive(scene.outbound[VICTIM])
    # A step has no ledger to hold the round to, and so must not carry the delivery.
    lie = encode_round_message(Step((), scene.session_of()))
    error = scene.refused(VICTIM, lie, UnexpectedMessageError)
    assert error.received == "Step"
    goes_on_without_victim(scene)


def test_a_task_carries_no_other_message_of_the_session(tmp_path: Path):
    scene = begun(tmp_path).until("share_keys")
    lie = encode_round_message(Task(1.0, (), scene.session_of()))
    assert scene.refused(VICTIM, lie, UnexpectedMessageError).received == "Task"
    goes_on_without_victim(scene)


@both_models
def test_garbage_in_the_place_of_the_invitation_counts_nothing(tmp_path: Path, adversary: AdversaryModel):
    scene = begun(tmp_path, adversary)
    genuine = scene.session_of()
    for garbage in (b"", b"SAGG", genuine[:-1], genuine + b"\x00", b"\x00" + genuine, bytes(1000)):
        scene.refused_offer(scene.offer(session=garbage), MalformedMessageError)
    with pytest.raises(MalformedMessageError):
        scene.deliver(VICTIM, scene.session_of())
    goes_on(scene)


@both_models
def test_a_step_before_the_offer_is_refused(tmp_path: Path, adversary: AdversaryModel):
    scene = begun(tmp_path, adversary)
    offer = scene.outbound[VICTIM]
    scene.exchange()
    step = scene.outbound[VICTIM]
    late = Scene(tmp_path / "late", scene.plan).begin()
    late.refused_offer(step, StrayMessageError)
    assert late.deliver(VICTIM) is not None
    assert offer != step


@both_models
def test_an_accepted_offer_may_come_again(tmp_path: Path, adversary: AdversaryModel):
    scene = begun(tmp_path, adversary)
    offer = scene.outbound[VICTIM]
    first = scene.deliver(VICTIM)
    assert scene.deliver(VICTIM) == first
    assert f"counter-{VICTIM}" not in scene.files(), "an offer counts nothing"
    scene.exchange()
    scene.exchange()
    # Later it is an old message: there is nothing to say to it, and it harms nothing.
    assert scene.deliver(VICTIM, offer) is None
    goes_on(scene)


def test_a_second_offer_changes_nothing_of_the_first(tmp_path: Path):
    # Its session is the one that was accepted: the rest of it is not looked at.
    scene = begun(tmp_path)
    first = scene.deliver(VICTIM)
    assert scene.deliver(VICTIM, scene.offer(round_number=2)) == first
    assert scene.clients[VICTIM].round_number == 1
    goes_on(scene)


def test_an_accepted_task_may_come_again(tmp_path: Path):
    scene = tasked(tmp_path)
    task = scene.outbound[VICTIM]
    reply = scene.deliver(VICTIM)
    before = scene.files()
    # The masked vector is not kept.
    assert reply is not None
    assert scene.deliver(VICTIM, task) is None
    assert scene.files() == before
    scene.server.receive(VICTIM, reply)
    released = scene.finish(silent={VICTIM})
    assert released.survivors == scene.plan.clients


def test_no_refusal_is_taken_back(tmp_path: Path):
    scene = begun(tmp_path)
    scene.refused(VICTIM, scene.offer(round_number=2), PolicyViolationError, keeps_counter=False)
    with pytest.raises(StateSpentError) as spent:
        scene.deliver(VICTIM)
    assert isinstance(spent.value, LocalError)
