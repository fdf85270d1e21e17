"""Properties of the private round: nobody changes a plan unnoticed, what is sent is bounded, what is spent is kept."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from dp.errors import InvalidParameterError
from dp.ledger.audit import Verdict, audit
from dp.ledger.errors import LedgerError, LedgerRefusedError, RoundRefusedError
from dp.ledger.records import NO_HEAD
from dp.ledger.writer import Ledger
from dp.mechanisms.adaptive_clipping import AdaptiveClipping
from fl.errors import PlanMismatchError, UnsafePlanError
from fl.private.client_round import ClientRound
from fl.private.messages import Offer, Step, Task, decode_round_message, encode_round_message
from fl.private.plan import PrivatePlan
from fl.private.private_sum import PrivateSum
from fl.private.server_round import ServerRound
from fl.private.side_values import SideValue
from fl.private.vector import PrivateVector
from secagg.errors import RemoteError, SecAggError, StateSpentError, StrayMessageError, TooFewClientsError
from tests.kit.private_round_scene import (
    ACTIVE,
    CURIOUS,
    LOSS,
    SCHEMA,
    VICTIM,
    Scene,
    centred,
    planned,
    sum_of_words,
    without_noise,
)

ADAPTIVE = AdaptiveClipping(1.0, 1.0, smallest=0.01, largest=100.0)
RICH: dict[str, Any] = {
    "side_values": (LOSS, SideValue(name="shift", low=-3.0, high=1.0)),
    "weight_cap": 50,
    "adaptive": ADAPTIVE,
    "modulus_bits": 24,
}


# ---------------------------------------------------------------------------------------------------- What is agreed on
def text_of_a_plan() -> str:
    return planned(**RICH, adversary=CURIOUS).to_json()


CHARACTERS = st.sampled_from('0123456789/"{}[],:abcdef-. ntx\x00\ud800é')


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(place=st.integers(0, len(text_of_a_plan()) - 1), character=CHARACTERS | st.characters(), data=st.data())
def test_any_character_of_a_plan_changed_is_refused_or_another_digest(place: int, character: str, data: st.DataObject):
    plan, text = planned(**RICH, adversary=CURIOUS), text_of_a_plan()
    way = data.draw(st.sampled_from(["replace", "insert", "remove"]))
    rest = text[place + (way != "insert") :]
    changed = text[:place] + ("" if way == "remove" else character) + rest
    try:
        read = PrivatePlan.from_json(changed, SCHEMA)
    except (PlanMismatchError, UnsafePlanError):
        return
    assert (read.digest == plan.digest) == (changed == text)
    assert read.to_json() == changed


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("1/0") | st.just("1/3"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_value_in_any_field_of_a_plan_is_a_plan_or_one_of_two_errors(data: st.DataObject):
    raw = json.loads(text_of_a_plan())
    place = data.draw(st.sampled_from([raw, raw["noise"], raw["adaptive"]]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JSON_VALUES)
    text = json.dumps(raw, sort_keys=True, separators=(",", ":"))
    try:
        plan = PrivatePlan.from_json(text, SCHEMA)
    except (PlanMismatchError, UnsafePlanError):
        return
    assert plan.to_json() == text


# --------------------------------------------------------------------------------------------------------- What is sent
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    bias=arrays.arrays(np.float64, 3, elements=FLOATS),
    kernel=arrays.arrays(np.float64, (4, 3), elements=FLOATS),
    weight=st.integers(0, 50),
    loss=st.floats(0, 5),
    shift=st.floats(-3, 1),
    clip=st.floats(0.01, 100),
    context=st.binary(min_size=32, max_size=32),
)
def test_what_one_client_adds_is_bounded_whatever_it_hands_in(
    bias: npt.NDArray[np.float64],
    kernel: npt.NDArray[np.float64],
    weight: int,
    loss: float,
    shift: float,
    clip: float,
    context: bytes,
):
    plan = planned(**RICH, adversary=CURIOUS)
    with pytest.MonkeyPatch.context() as patch:
        without_noise(patch)
        words = PrivateVector(plan, context, clip).encode(
            {"b": bias, "w": kernel}, weight, {"loss": loss, "shift": shift}
        )
    integers = centred(words, plan.noise.modulus_bits).tolist()
    # The last is the bit that adapts the clip norm, with noise and a sensitivity of its own.
    assert integers[-1] in (-1, 1)
    norm = np.sqrt(sum(float(entry) ** 2 for entry in (*bias, *kernel.ravel()) if abs(entry) < 1e150))
    if max(np.abs(bias).max(), np.abs(kernel).max()) < 1e150 and abs(norm - clip) > 1e-9 * clip:
        assert integers[-1] == (1 if norm < clip else -1)
    assert sum(entry * entry for entry in integers[:-1]) <= plan.noise.squared_norm_bound
    assert sum(abs(entry) for entry in integers[:-1]) <= plan.noise.l1_bound


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    weights=st.lists(st.integers(0, 50), min_size=1, max_size=5),
    losses=st.lists(st.floats(0, 5), min_size=5, max_size=5),
    shifts=st.lists(st.floats(-3, 1), min_size=5, max_size=5),
    clip=st.floats(0.01, 100),
)
def test_side_values_are_added_up(weights: list[int], losses: list[float], shifts: list[float], clip: float):
    plan = planned(**RICH, adversary=CURIOUS)
    count = len(weights)
    update = {"b": np.full(3, clip / 9), "w": np.zeros((4, 3))}
    with pytest.MonkeyPatch.context() as patch:
        without_noise(patch)
        vector = PrivateVector(plan, bytes(32), clip)
        words = [
            vector.encode(update, weight, {"loss": loss, "shift": shift})
            for weight, loss, shift in zip(weights, losses, shifts, strict=False)
        ]
        total = vector.decode(sum_of_words(words, 24), count)
    # A step of rounding in each coordinate for each client, and single precision, in the units of the value.
    off = (count * np.sqrt(32) / plan.noise.scaled_clip + 5e-6) * plan.joint_clip(1.0)
    assert total.side_values["weight"] == pytest.approx(sum(weights), abs=off / plan.side_values[-1].share * 25)
    assert total.side_values["loss"] == pytest.approx(sum(losses[:count]), abs=off / 0.5 * 2.5)
    assert total.side_values["shift"] == pytest.approx(sum(shifts[:count]), abs=off / 0.1 * 2)
    assert total.clip_bits == count
    expected = np.zeros(15)
    expected[:3] = sum(weights) / 50 * clip / 9
    assert np.linalg.norm(total.update - expected) < off * clip


# --------------------------------------------------------------------------------------------------------- What is done
class Training(RuleBasedStateMachine):
    """A server and clients that crash, restart, vanish, come back, resend and lie, over the rounds of one plan."""

    adversary = CURIOUS

    def __init__(self) -> None:
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.scene = Scene(Path(self.temporary.name), planned(adversary=self.adversary))
        self.number = 0
        self.running = False
        self.answered: dict[int, list[int]] = {client: [] for client in self.scene.ids}

    def teardown(self) -> None:
        self.scene.ledger.close()
        self.temporary.cleanup()

    @rule(step=st.integers(0, 1))
    def begin(self, step: int) -> None:
        number = self.number + step
        try:
            self.scene.begin(number)
        except PlanMismatchError:
            assert not 1 <= number <= 3
            return
        self.running, self.number = True, number

    @precondition(lambda self: self.running)
    @rule(silent=st.sets(st.integers(0, 4), max_size=2), twice=st.booleans())
    def exchange(self, silent: set[int], twice: bool) -> None:
        scene, stage = self.scene, self.scene.server.stage
        for place, client in enumerate(scene.ids):
            if place in silent or client not in scene.outbound:
                continue
            try:
                reply = scene.deliver(client)
                if twice:
                    assert scene.deliver(client) == (None if stage == "masked_input" else reply)
            except (StateSpentError, StrayMessageError, RoundRefusedError, RemoteError):
                continue
            if reply is not None:
                if stage == "unmask":
                    self.answered[client].append(self.number)
                self.receive(client, reply)
        try:
            closed = scene.server.close_stage()
        except TooFewClientsError:
            return
        except (StateSpentError, LedgerRefusedError, InvalidParameterError):
            self.running = False
            return
        if isinstance(closed, PrivateSum):
            self.running = False
            assert closed.survivors >= scene.plan.min_survivors
        else:
            scene.outbound = closed

    def receive(self, client: int, reply: bytes) -> None:
        try:
            self.scene.server.receive(client, reply)
        except SecAggError:
            # A second answer, or one to an older message.
            return

    @precondition(lambda self: self.running)
    @rule(place=st.integers(0, 4), older=st.booleans())
    def restart_a_client(self, place: int, older: bool) -> None:
        scene = self.scene
        client = scene.ids[place]
        session = scene.clients[client]
        if older or session._session is None or session._over:
            scene.clients[client] = scene.client(client)
            return
        scene.clients[client] = ClientRound.from_bytes(
            session.to_bytes(),
            scene.plan,
            client,
            scene.counter(client),
            identity=scene.identities.get(client),
            identities={one: identity.public_key for one, identity in scene.identities.items()} or None,
        )

    @precondition(lambda self: self.running)
    @rule()
    def restart_the_server(self) -> None:
        scene = self.scene
        try:
            snapshot = scene.server.to_bytes()
        except SecAggError:
            return
        scene.ledger.close()
        scene.ledger = Ledger.open(scene.folder / "ledger")
        scene.server = ServerRound.from_bytes(snapshot, scene.plan, scene.ledger)
        if scene.server.outbound:
            scene.outbound = scene.server.outbound

    @precondition(lambda self: self.running)
    @rule(place=st.integers(0, 4), lie=st.sampled_from(["no lines", "offer", "task", "step", "garbage"]))
    def lie(self, place: int, lie: str) -> None:
        scene = self.scene
        client = scene.ids[place]
        if client not in scene.outbound:
            return
        message = decode_round_message(scene.outbound[client])
        unmasking = scene.server.stage == "unmask"
        data = {
            "no lines": encode_round_message(Step((), message.session)),
            "offer": encode_round_message(Offer(scene.plan.digest, self.number, message.session)),
            "task": encode_round_message(Task(1.0, scene.ledger.lines_since(NO_HEAD), message.session)),
            "step": encode_round_message(Step((b"{}\n",), message.session)),
            "garbage": scene.outbound[client][:-1],
        }[lie]
        before = self.witnessed(client)
        try:
            reply = scene.deliver(client, data)
        except (SecAggError, LedgerError):
            reply = None
        if unmasking:
            # Without the reserve there is no answer, but for one that was given before.
            assert self.witnessed(client) == before
            if reply is not None:
                self.answered[client].append(self.number)

    def witnessed(self, client: int) -> int:
        return self.scene.counters[client]._load().witnessed

    @invariant()
    def nobody_unmasks_a_round_that_is_not_in_the_ledger(self) -> None:
        lines = (self.scene.folder / "ledger").read_bytes().splitlines()
        reserved = {raw["round"] for raw in map(json.loads, lines) if raw["kind"] == "reserve"}
        for client, rounds in self.answered.items():
            assert set(rounds) <= reserved
            assert max(rounds, default=0) <= self.witnessed(client)

    @invariant()
    def the_ledger_is_sound_and_the_budget_kept(self) -> None:
        report = audit([self.scene.folder / "ledger"])
        assert report.verdict is Verdict.FINE
        assert report.total.promised == self.scene.ledger.spent <= 20
        assert len({release.round for release in report.releases}) == len(report.releases) <= 3


class ActiveTraining(Training):
    adversary = ACTIVE


@pytest.mark.slow
@pytest.mark.parametrize("machine", [Training, ActiveTraining])
def test_whatever_happens_no_round_is_unmasked_unpaid(machine: type[Training]):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_the_machine_can_go_all_the_way():
    # Without this a machine that refuses everything would pass.
    machine = Training()
    machine.begin(1)
    for _ in range(4):
        machine.exchange(set(), False)
    assert not machine.running
    assert machine.answered[VICTIM] == [1]
    machine.nobody_unmasks_a_round_that_is_not_in_the_ledger()
    machine.the_ledger_is_sound_and_the_budget_kept()
    machine.teardown()
