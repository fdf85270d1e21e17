"""A server offers a weaker adversary model, a suite that the policy excludes, or to close with too few."""

import pytest

from secagg.errors import PolicyViolationError
from secagg.params import AdversaryModel
from secagg.primitives.prg import Suite
from tests.kit.attack_scene import (
    ACTIVE,
    HONEST_BUT_CURIOUS,
    QUORUM,
    THRESHOLD,
    VICTIM,
    Scene,
    both_models,
    forged_offer,
    offer,
    sparse_only,
)

MIN_SURVIVORS_FIELD = 14


@both_models
def test_another_adversary_model_is_refused(model: AdversaryModel):
    (other,) = set(AdversaryModel) - {model}
    scene = Scene(model)
    error = scene.refused(VICTIM, offer(scene.outbound[VICTIM], adversary=other), PolicyViolationError)
    assert (error.rule, error.offered, error.accepted) == ("adversary", other.name, model.name)
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
def test_a_suite_outside_the_policy_is_refused(model: AdversaryModel):
    scene = Scene(model, policies={VICTIM: {"suites": frozenset({Suite.AES_128_CTR})}})
    error = scene.refused(VICTIM, offer(scene.outbound[VICTIM], suite=Suite.CHACHA20), PolicyViolationError)
    assert (error.rule, error.offered, error.accepted) == ("suite", "CHACHA20", ["AES_128_CTR"])
    scene.assert_exact(scene.finish(), missing={VICTIM})


@sparse_only
def test_fewer_survivors_than_two_majorities_need_are_refused():
    # More than half of eleven clients and three corrupt ones: what an honest server would wait for, too.
    scene = Scene(ACTIVE)
    lie = offer(scene.outbound[VICTIM], min_survivors=QUORUM - 1)
    error = scene.refused(VICTIM, lie, PolicyViolationError)
    assert (error.rule, error.offered) == ("min_survivors", QUORUM - 1)
    assert error.accepted == f"at least {QUORUM} in this graph"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@sparse_only
def test_fewer_survivors_than_keep_a_sparse_graph_connected_are_refused():
    # Five of eleven corrupt and three gone could be all eight neighbours of somebody.
    scene = Scene(HONEST_BUT_CURIOUS, policy={"corrupt_fraction": 0.45}, params={"min_survivors": 9})
    lie = offer(scene.outbound[VICTIM], min_survivors=8)
    error = scene.refused(VICTIM, lie, PolicyViolationError)
    assert (error.rule, error.offered, error.accepted) == ("min_survivors", 8, "at least 9 in this graph")
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
@pytest.mark.parametrize("fewest", [0, THRESHOLD, 12, 2**32 - 1])
def test_fewer_survivors_than_can_finish_or_more_than_there_are_is_garbage(model: AdversaryModel, fewest: int):
    scene = Scene(model)
    lie = forged_offer(scene.outbound[VICTIM], MIN_SURVIVORS_FIELD, "<I", fewest)
    assert scene.ignored(VICTIM, lie).reason == "invalid parameters: min_survivors"
    scene.assert_exact(scene.finish())
