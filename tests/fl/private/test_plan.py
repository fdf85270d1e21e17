"""fl.private.plan: what everybody derives from a plan is the same."""

import hashlib
import math
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest

from dp.ledger.records import NO_HEAD
from fl.errors import PlanMismatchError
from secagg import NO_MODEL, InvalidInputError
from secagg.params import SessionParams
from tests.kit.private_round_scene import ADAPTIVE, LOSS, planned


def test_a_plan_is_frozen():
    with pytest.raises(FrozenInstanceError):
        planned().clip = 2.0  # type: ignore[misc]


def test_rounds_are_from_one_to_the_last():
    plan = planned()
    for number in (1, 2, 3):
        plan.check_round(number, plan.clip)
        assert plan.session_params(number).round_number == number
    for number in (0, 4, -1, 2**64, True, 1.0, "1", None):
        with pytest.raises(PlanMismatchError) as refused:
            plan.session_params(number)  # type: ignore[arg-type]
        assert (refused.value.what, refused.value.expected) == ("round", "1 to 3")


@pytest.mark.parametrize("clip", [0.5, 2.0, math.nan, math.inf, 0.0, -1.0, math.nextafter(1.0, 2.0)])
def test_the_clip_norm_is_the_plans_if_it_does_not_adapt(clip: float):
    plan = planned()
    with pytest.raises(PlanMismatchError) as refused:
        plan.check_round(1, clip)
    assert (refused.value.what, refused.value.expected) == ("clip norm", 1.0)


def test_a_clip_norm_that_adapts_stays_in_its_range():
    plan = planned(adaptive=ADAPTIVE)
    for clip in (0.01, 1.0, 100.0):
        plan.check_round(2, clip)
    for clip in (0.0099, 100.1, math.nan, math.inf, -1.0, 0.0):
        with pytest.raises(PlanMismatchError) as refused:
            plan.check_round(2, clip)
        assert (refused.value.what, refused.value.expected) == ("clip norm", "from 0.01 to 100.0")


def test_a_session_binds_plan_and_round():
    plan, other = planned(adaptive=ADAPTIVE), planned(adaptive=ADAPTIVE, scope="ward 8")
    assert len({one.session_params(number).encode() for one in (plan, other) for number in (1, 2)}) == 4
    params = plan.session_params(2)
    # In this order, and nothing else: other programs have to make the same bytes.
    assert params.application == plan.application == b"fl private round 2" + plan.digest
    for field in fields(SessionParams):
        if field.name not in ("application", "round_number"):
            assert getattr(params, field.name) == getattr(plan.session, field.name)


def test_a_task_binds_plan_round_clip_norm_ledger_and_model():
    plan, other = planned(adaptive=ADAPTIVE), planned(adaptive=ADAPTIVE, scope="ward 8")
    tasks = {
        one.task(number, clip=clip, head=head, model_digest=model)
        for one in (plan, other)
        for number in (1, 2)
        for clip in (1.0, 1.5)
        for head in (NO_HEAD, b"h" * 32)
        for model in (NO_MODEL, b"m" * 32)
    }
    assert len(tasks) == 32
    assert {len(task) for task in tasks} == {32}
    # Each field behind its length, in this order: other programs have to make the same bytes.
    fields_of = (
        b"fl private task 2",
        plan.digest,
        b"\x02" + bytes(7) + np.float64(1.5).tobytes(),
        b"h" * 32,
        b"m" * 32,
    )
    framed = b"".join(len(field).to_bytes(8, "little") + field for field in fields_of)
    assert plan.task(2, clip=1.5, head=b"h" * 32, model_digest=b"m" * 32) == hashlib.sha256(framed).digest()


@pytest.mark.parametrize("digest", [b"", b"short", bytes(33), bytearray(32), None, "m" * 32], ids=repr)
def test_a_task_without_a_digest_is_refused(digest: Any):
    plan = planned()
    with pytest.raises(InvalidInputError, match="model_digest"):
        plan.task(1, clip=1.0, head=NO_HEAD, model_digest=digest)
    with pytest.raises(InvalidInputError, match="head"):
        plan.task(1, clip=1.0, head=digest, model_digest=NO_MODEL)
    with pytest.raises(PlanMismatchError):
        plan.task(4, clip=1.0, head=NO_HEAD, model_digest=NO_MODEL)
    with pytest.raises(PlanMismatchError):
        plan.task(1, clip=2.0, head=NO_HEAD, model_digest=NO_MODEL)


def test_the_noise_on_sums_and_side_values_is_told():
    plan = planned(adaptive=ADAPTIVE, side_values=(LOSS,), weight_cap=50)
    for survivors in (4, 5):
        lattice = math.sqrt(survivors * plan.noise.local_variance)
        for clip in (None, 2.0):
            joint = math.sqrt(1 + sum(side.share**2 for side in plan.side_values))
            scale = plan.noise.scaled_clip / (joint * (1.0 if clip is None else clip))
            assert plan.noise_stddev(survivors, clip) == pytest.approx(lattice / scale, rel=1e-12)
        # Half of the range is sent as the share of the clip norm.
        assert plan.side_value_stddev("loss", survivors) == pytest.approx(plan.noise_stddev(survivors) * 2.5 / 0.5)
        share = plan.side_values[1].share
        assert plan.side_value_stddev("weight", survivors) == pytest.approx(plan.noise_stddev(survivors) * 25 / share)
    with pytest.raises(PlanMismatchError) as refused:
        plan.side_value_stddev("accuracy", 4)
    assert (refused.value.offered, refused.value.expected) == ("accuracy", "loss, weight")
    with pytest.raises(PlanMismatchError, match="expected none"):
        planned().side_value_stddev("loss", 4)
