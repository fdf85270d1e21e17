"""A server offers a threshold that too few colluding clients could reach."""

import pytest

from secagg.errors import PolicyViolationError
from secagg.params import AdversaryModel
from tests.adversary.scene import (
    ACTIVE,
    HONEST_BUT_CURIOUS,
    IDS,
    THRESHOLD,
    VICTIM,
    Scene,
    both_models,
    forged_offer,
    offer,
)

THRESHOLD_FIELD = 6


@pytest.mark.parametrize(("model", "corrupt_fraction", "corrupt"), [(ACTIVE, 0.2, 2), (HONEST_BUT_CURIOUS, 0.45, 5)])
def test_a_threshold_below_the_policy_is_refused_before_any_key_is_drawn(
    model: AdversaryModel, corrupt_fraction: float, corrupt: int
):
    scene = Scene(model, policy={"corrupt_fraction": corrupt_fraction})
    lie = offer(scene.outbound[VICTIM], threshold=THRESHOLD - 1)
    error = scene.refused(VICTIM, lie, PolicyViolationError)
    assert (error.rule, error.offered) == ("threshold", THRESHOLD - 1)
    assert error.accepted == f"at least {THRESHOLD} with {corrupt} corrupt"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
@pytest.mark.parametrize("threshold", [0, 1, 4, len(IDS), 2**32 - 1])
def test_a_threshold_that_no_session_can_have_is_garbage(model: AdversaryModel, threshold: int):
    scene = Scene(model)
    lie = forged_offer(scene.outbound[VICTIM], THRESHOLD_FIELD, "<I", threshold)
    assert scene.ignored(VICTIM, lie).reason == "invalid parameters: threshold"
    scene.assert_exact(scene.finish())
