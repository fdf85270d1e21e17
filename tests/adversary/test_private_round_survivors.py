"""A server cuts the survivor set: less noise would be in the sum than the promise counts on, so clients refuse.

The same server gets the sum, with less noise than it promised, from clients whose floor is removed in a test double.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dp.errors import InvalidParameterError
from dp.ledger.records import NO_HEAD, Reserve
from fl.arrays.flatten import flatten
from fl.errors import PlanMismatchError
from fl.private.messages import Offer, Step, Task, decode_joined, encode_round_message
from fl.private.plan import PrivatePlan
from fl.private.vector import PrivateVector
from secagg import NO_MODEL
from secagg.client.session import ClientSession
from secagg.errors import (
    ClientId,
    InconsistentServerError,
    PolicyViolationError,
    RemoteError,
    TooFewClientsError,
)
from secagg.params import AdversaryModel, SessionParams
from secagg.policy import ClientPolicy
from secagg.primitives.bitmap import encode_bitmap
from secagg.server import Result
from secagg.server.session import ServerSession
from tests.kit.private_round_scene import (
    ACTIVE,
    CURIOUS,
    SCHEMA,
    VICTIM,
    Scene,
    both_models,
    contribution_of,
    planned,
    public_keys,
    update_of,
    without_noise,
)


@pytest.fixture(autouse=True, params=[False, True], ids=["alone", "pipelined"])
def graph(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """These rounds have graphs of their own."""
    monkeypatch.setattr(Scene, "pipelined", request.param)


TERMS: dict[str, Any] = {"clients": 8, "max_dropouts": 2, "epsilon": 8.0, "modulus_bits": 20}
"""Six have to survive. A session alone would do with five."""


def survivors(scene: Scene, count: int, client: ClientId) -> bytes:
    """Returns the step that tells a client that so many survived, itself among them."""
    members = {client, *[other for other in scene.ids if other != client][: count - 1]}
    bitmap = encode_bitmap(np.array([other in members for other in sorted(scene.ids)]))
    return scene.step(client, session=scene.altered(client, survivors=bitmap, total=count))


@both_models
@pytest.mark.parametrize(("count", "failure"), [(1, InconsistentServerError), (8, PolicyViolationError)])
def test_fewer_survivors_than_the_noise_is_calibrated_to_are_refused(
    tmp_path: Path, adversary: AdversaryModel, count: int, failure: type[RemoteError]
):
    # Nine of ten have to survive. With eight the session's threshold would be met, with one not even that.
    scene = Scene(tmp_path, planned(adversary=adversary, clients=10, max_dropouts=1)).begin()
    scene.until("consistency" if adversary is ACTIVE else "unmask")
    assert scene.plan.session.threshold == 7
    error = scene.nobody_unmasks(
        lambda client: survivors(scene, count, client), failure, keeps_counter=adversary is ACTIVE
    )
    if isinstance(error, PolicyViolationError):
        assert (error.rule, error.offered, error.accepted) == ("min_survivors", 8, "at least 9")
    # The round counts all the same where it was reserved: nobody knows what the server learned elsewhere.
    assert scene.ledger.unsettled == (() if adversary is ACTIVE else (1,))


@pytest.mark.slow
@both_models
def test_as_many_survivors_as_the_noise_is_calibrated_to_are_enough(tmp_path: Path, adversary: AdversaryModel):
    scene = Scene(tmp_path, planned(adversary=adversary, **TERMS)).begin().until("masked_input")
    assert scene.finish(silent=scene.ids[:2]).survivors == 6


@both_models
def test_an_honest_server_does_not_ask_for_less(tmp_path: Path, adversary: AdversaryModel):
    scene = Scene(tmp_path, planned(adversary=adversary, **TERMS)).begin().until("masked_input")
    with pytest.raises(TooFewClientsError) as refused:
        scene.exchange(silent=scene.ids[:3])
    assert (refused.value.needed, refused.value.remaining) == (6, 5)
    assert len(scene.ledger.lines_since(NO_HEAD)) == 1
    assert not scene.ledger.spent


class Rogue:
    """A server that ends rounds with whom it likes: its session takes five of eight."""

    def __init__(self, scene: Scene) -> None:
        plan = scene.plan
        genuine = plan.session_params(1)
        fields = {name: getattr(genuine, name) for name in SessionParams.__dataclass_fields__}
        lower = {"min_survivors": 5, "threshold": 4}
        self.scene = scene
        self.session = ServerSession(SessionParams(**(fields | lower)), scene.ids, public_keys(plan))
        self.clients = {client: scene.client(client) for client in scene.ids}

    def run(self, cut: Collection[ClientId]) -> Result:
        """Runs the round and drops the masked inputs of those that are cut off."""
        scene, plan = self.scene, self.scene.plan
        offer = Offer(plan.digest, 1, self.session.invitation)
        outbound: Mapping[ClientId, bytes] = dict.fromkeys(scene.ids, encode_round_message(offer))
        while True:
            stage = self.session.stage
            for client, data in outbound.items():
                given = contribution_of(plan, client)
                reply = self.clients[client].receive(data, update=given.update)
                assert reply is not None
                if stage == "advertise_keys":
                    reply = decode_joined(reply, client).session
                if stage != "masked_input" or client not in cut:
                    self.session.receive(client, reply)
            head, added = scene.ledger.head, ()
            closed = self.session.close_stage(plan.task(1, clip=plan.clip, head=head, model_digest=NO_MODEL))
            if isinstance(closed, Result):
                return closed
            if self.session.stage == "masked_input":
                lines = scene.ledger.lines_since(NO_HEAD)
                outbound = {
                    client: encode_round_message(Task(plan.clip, lines, message)) for client, message in closed.items()
                }
                continue
            if self.session.stage == "unmask":
                # It pays as if six had survived, which is all that the ledger takes.
                scene.ledger.reserve(self.reserve())
                added = scene.ledger.lines_since(head)
            outbound = {client: encode_round_message(Step(added, message)) for client, message in closed.items()}

    def reserve(self) -> Reserve:
        plan, session = self.scene.plan, self.session
        return plan.reserve(
            1, session.session_id, clip=plan.clip, context=session.context, roster=session.roster_hash or bytes(32)
        )


CUT = 3


def remove_the_floor(patch: pytest.MonkeyPatch) -> None:
    """The test double: clients that take any session, and any number of survivors that it ends with."""
    genuine = PrivatePlan.policy

    def careless(self: PrivatePlan, *arguments: Any) -> ClientPolicy:
        return replace(genuine(self, *arguments), min_survivors=0, min_cohort=3, corrupt_fraction=0.0)

    patch.setattr(PrivatePlan, "policy", careless)
    patch.setattr("fl.private.client_round.check_terms", lambda plan, offered: None)


def gaussian_epsilon(plan: PrivatePlan, count: int) -> float:
    """Returns epsilon with this many survivors, by Google's accountant.

    The noise is for the Gaussian mechanism what it is for Skellam's, up to a part in the variance.
    """
    variance = float((count - plan.noise.colluders) * plan.noise.local_variance)
    # Imported late: it takes a second, and no other test here needs it.
    from dp_accounting import dp_event
    from dp_accounting.rdp import RdpAccountant

    event = dp_event.GaussianDpEvent(math.sqrt(variance / plan.noise.squared_norm_bound))
    accountant = RdpAccountant(orders=list(np.geomspace(1.01, 200, 2000)))
    return float(
        accountant.compose(dp_event.SelfComposedDpEvent(event, plan.rounds)).get_epsilon(float(plan.noise.delta))
    )


def test_without_the_floor_the_server_learns_more_than_epsilon_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scene = Scene(tmp_path, planned(adversary=CURIOUS, **TERMS))
    remove_the_floor(monkeypatch)
    # Without noise it can be seen whose sum it is; the variances below are those of the noise left out.
    without_noise(monkeypatch)
    rogue = Rogue(scene)
    result = rogue.run(cut=scene.ids[:CUT])
    assert result.survivors == frozenset(scene.ids[CUT:])
    plan = scene.plan
    learned = PrivateVector(plan, rogue.session.context, plan.clip).decode(result.sum, 5)
    true = np.add.reduce([flatten(update_of(client), SCHEMA) for client in scene.ids[CUT:]])
    assert np.linalg.norm(learned.update - true) < 5 * 4 / plan.scale(plan.clip) + 1e-5
    # What it learned is worth more than the plan promised and the ledger counts.
    promise = float(plan.noise.target_epsilon)
    assert plan.noise.epsilon(6).value <= promise < plan.noise.epsilon(5).value
    assert plan.noise.epsilon(5).value > 1.1 * promise
    # And so it is by another accountant.
    assert gaussian_epsilon(plan, 6) == pytest.approx(promise, rel=2e-3)
    assert gaussian_epsilon(plan, 5) > 1.1 * promise
    assert scene.ledger.spent < promise
    # The ledger at least does not take such a round for settled.
    with pytest.raises(InvalidParameterError):
        scene.ledger.settle(1, 5)


def test_with_the_floor_the_same_server_learns_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scene = Scene(tmp_path, planned(adversary=CURIOUS, **TERMS))
    # The terms of its session are not the plan's, and are refused before anything is counted.
    rogue = Rogue(scene)
    with pytest.raises(PlanMismatchError, match=r"another session \(threshold\)"):
        rogue.run(cut=scene.ids[:CUT])
    assert rogue.session.received == frozenset()
    # Nor would the session's own policy begin, if a client had not looked at the terms.
    monkeypatch.setattr("fl.private.client_round.check_terms", lambda plan, offered: None)
    rogue = Rogue(scene)
    with pytest.raises(PolicyViolationError) as refused:
        rogue.run(cut=scene.ids[:CUT])
    assert rogue.session.stage == "advertise_keys"
    # Nor would it unmask, if it had begun.
    monkeypatch.setattr("secagg.policy._check_minimum", lambda params, required: None)
    scene = Scene(tmp_path / "again", planned(adversary=CURIOUS, **TERMS))
    rogue = Rogue(scene)
    with pytest.raises(PolicyViolationError) as refused:
        rogue.run(cut=scene.ids[:CUT])
    assert (refused.value.rule, refused.value.offered, refused.value.accepted) == ("min_survivors", 5, "at least 6")
    assert rogue.session.stage == "unmask"
    assert rogue.session.received == frozenset()


def test_the_policy_alone_holds_the_floor(tmp_path: Path):
    # The session's parameters are the server's words; the minimum is the client's own.
    plan = planned(adversary=CURIOUS, **TERMS)
    policy = plan.policy(1)
    params = plan.session_params(1)
    weaker = SessionParams(
        **(
            {name: getattr(params, name) for name in SessionParams.__dataclass_fields__}
            | {"threshold": 4, "min_survivors": 5}
        )
    )
    assert policy.required_survivors(weaker) == 6
    assert ClientSession(VICTIM, policy).phase == "awaiting the invitation"
