"""fl.private.server_round: a server that restarts goes on where it was, reserves once and settles once."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dp.ledger.audit import Verdict, audit
from dp.ledger.errors import LedgerRefusedError
from dp.ledger.writer import Ledger
from fl.errors import PlanMismatchError
from fl.private.private_sum import PrivateSum
from fl.private.server_round import ServerRound, _Snapshot
from fl.private.snapshots import VERSION
from secagg.errors import (
    InvalidInputError,
    InvalidStateError,
    StateSpentError,
)
from secagg.params import AdversaryModel
from secagg.protocol.snapshot import SnapshotRole, read_snapshot, write_snapshot
from tests.kit.private_round_scene import (
    ACTIVE,
    ADAPTIVE,
    CURIOUS,
    VICTIM,
    WRAPPING_KEY,
    Scene,
    at,
    both_models,
    planned,
)


def restored(scene: Scene, data: bytes, **options: Any) -> ServerRound:
    return ServerRound.from_bytes(data, scene.plan, scene.ledger, **options)


@pytest.mark.slow
@both_models
@pytest.mark.parametrize("key", [None, WRAPPING_KEY], ids=["plain", "wrapped"])
def test_a_server_that_restarts_at_every_stage_comes_to_the_same(
    tmp_path: Path, adversary: AdversaryModel, key: bytes | None
):
    scene = Scene(tmp_path, planned(adversary=adversary, adaptive=ADAPTIVE)).begin(clip=2.0)
    stages = []
    while True:
        stages.append(scene.server.stage)
        snapshot = scene.server.to_bytes(key)
        # The process dies, and so does its ledger object.
        scene.ledger.close()
        scene.ledger = Ledger.open(tmp_path / "ledger")
        outbound = scene.server.outbound
        scene.server = restored(scene, snapshot, wrapping_key=key)
        assert dict(scene.server.outbound) == dict(outbound)
        assert scene.server.to_bytes() == scene.server.to_bytes()
        if outbound:
            scene.outbound = scene.server.outbound
        else:
            assert scene.server.offer() == scene.outbound[VICTIM]
        released = scene.exchange()
        if released is not None:
            break
    assert len(stages) == (5 if adversary is ACTIVE else 4)
    assert (released.survivors, released.clip) == (5, 2.0)
    assert scene.ledger.unsettled == ()
    assert audit([tmp_path / "ledger"]).verdict is Verdict.FINE


@both_models
def test_a_server_restored_after_the_reserve_sends_it_again_and_goes_on(tmp_path: Path, adversary: AdversaryModel):
    scene = at(tmp_path, "unmask", adversary)
    snapshot = scene.server.to_bytes()
    first = dict(scene.outbound)
    # Some have answered already; they give the same answers to the same request.
    answers = {client: scene.deliver(client) for client in scene.ids[:3]}
    scene.server = restored(scene, snapshot)
    assert dict(scene.server.outbound) == first
    for client, answer in answers.items():
        assert scene.clients[client].receive(scene.server.outbound[client]) == answer
        scene.server.receive(client, answer or b"")
    for client in scene.ids[3:]:
        scene.server.receive(client, scene.deliver(client) or b"")
    assert isinstance(scene.server.close_stage(), PrivateSum)
    assert len((tmp_path / "ledger").read_bytes().splitlines()) == 3


@both_models
def test_a_snapshot_from_before_the_reserve_does_not_reserve_twice(tmp_path: Path, adversary: AdversaryModel):
    scene = at(tmp_path, "consistency" if adversary is ACTIVE else "masked_input", adversary)
    snapshot = scene.server.to_bytes()
    answers = {client: scene.deliver(client) for client in scene.ids}
    for client, answer in answers.items():
        scene.server.receive(client, answer or b"")
    scene.server.close_stage()
    before = scene.files()
    # It crashed before it saved or sent anything. What was reserved counts, and the round is over.
    scene.server = restored(scene, snapshot)
    for client, answer in answers.items():
        scene.server.receive(client, answer or b"")
    with pytest.raises(LedgerRefusedError):
        scene.server.close_stage()
    with pytest.raises(StateSpentError):
        scene.server.close_stage()
    assert scene.files() == before
    assert scene.ledger.unsettled == (1,)
    assert scene.begin(2).finish().survivors == 5


@both_models
def test_a_round_restored_after_it_was_settled_is_refused(tmp_path: Path, adversary: AdversaryModel):
    scene = at(tmp_path, "unmask", adversary)
    snapshot = scene.server.to_bytes()
    scene.finish()
    with pytest.raises(PlanMismatchError) as refused:
        restored(scene, snapshot)
    assert (refused.value.what, refused.value.expected) == ("ledger", "an unsettled one")


def test_a_round_restored_twice_is_settled_once(tmp_path: Path):
    scene = at(tmp_path, "unmask")
    snapshot = scene.server.to_bytes()
    twin = restored(scene, snapshot)
    for client in scene.ids:
        answer = scene.deliver(client) or b""
        scene.server.receive(client, answer)
        twin.receive(client, answer)
    assert isinstance(scene.server.close_stage(), PrivateSum)
    before = scene.files()
    with pytest.raises(LedgerRefusedError):
        twin.close_stage()
    assert scene.files() == before


def test_a_snapshot_of_another_plan_or_ledger_is_refused(tmp_path: Path):
    scene = at(tmp_path, "masked_input")
    snapshot = scene.server.to_bytes()
    other = planned(adversary=CURIOUS, epsilon=19.0)
    with pytest.raises(PlanMismatchError) as refused:
        ServerRound.from_bytes(snapshot, other, scene.ledger)
    assert refused.value.what == "plan"
    fresh = Ledger.create(tmp_path / "fresh", replace(scene.plan.header(), budget=Fraction(21)))
    with pytest.raises(PlanMismatchError) as refused:
        ServerRound.from_bytes(snapshot, scene.plan, fresh)
    assert refused.value.what == "ledger"
    foreign = Ledger.create(tmp_path / "foreign", replace(scene.plan.header(), scope="ward 8"))
    with pytest.raises(PlanMismatchError) as refused:
        ServerRound.from_bytes(snapshot, scene.plan, foreign)
    assert refused.value.what == "ledger (scope)"


def test_a_request_to_unmask_is_not_restored_without_its_reserve(tmp_path: Path):
    scene = at(tmp_path, "unmask")
    snapshot = scene.server.to_bytes()
    scene.ledger.close()
    # The ledger as it was when the round began, from some backup.
    path = tmp_path / "ledger"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    scene.ledger = Ledger.open(path)
    with pytest.raises(PlanMismatchError) as refused:
        restored(scene, snapshot)
    assert refused.value.expected == "an unsettled one"


@pytest.mark.parametrize("key", [None, WRAPPING_KEY], ids=["plain", "wrapped"])
def test_a_damaged_snapshot_is_refused_wherever_it_is_damaged(tmp_path: Path, key: bytes | None):
    scene = at(tmp_path, "unmask")
    snapshot = scene.server.to_bytes(key)
    restored(scene, snapshot, wrapping_key=key)
    for place in {*range(60), *range(60, len(snapshot), 97), len(snapshot) - 1}:
        damaged = snapshot[:place] + bytes([snapshot[place] ^ 1]) + snapshot[place + 1 :]
        with pytest.raises(InvalidStateError):
            restored(scene, damaged, wrapping_key=key)
    for cut in (b"", snapshot[:-1], snapshot + b"\x00"):
        with pytest.raises(InvalidStateError):
            restored(scene, cut, wrapping_key=key)
    with pytest.raises((InvalidStateError, InvalidInputError)):
        restored(scene, snapshot, wrapping_key=b"k" * 32)
    with pytest.raises(InvalidInputError):
        restored(scene, snapshot, wrapping_key=b"short")


def test_snapshots_of_other_roles_and_versions_are_refused(tmp_path: Path):
    scene = at(tmp_path, "masked_input")
    content = read_snapshot(SnapshotRole.SERVER_ROUND, scene.server.to_bytes(), _Snapshot, None)
    with pytest.raises(InvalidStateError, match="of another version"):
        restored(
            scene,
            write_snapshot(SnapshotRole.SERVER_ROUND, msgspec.structs.replace(content, version=VERSION + 1), None),
        )
    for foreign in (scene.server._session.to_bytes(), scene.clients[VICTIM].to_bytes()):
        with pytest.raises(InvalidStateError, match="other role"):
            restored(scene, foreign)


def test_a_snapshot_is_taken_at_stage_boundaries_only(tmp_path: Path):
    scene = at(tmp_path, "masked_input")
    scene.server.receive(VICTIM, scene.deliver(VICTIM) or b"")
    with pytest.raises(InvalidStateError):
        scene.server.to_bytes()
