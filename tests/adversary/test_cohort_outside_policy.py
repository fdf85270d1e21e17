"""A server gathers fewer or more clients than a client's policy allows."""

import pytest

from secagg.errors import InconsistentServerError, PolicyViolationError
from secagg.params import AdversaryModel
from tests.adversary.scene import IDS, SPARE, THRESHOLD, VICTIM, Scene, both_models


@both_models
@pytest.mark.parametrize(
    ("policy", "accepted"),
    [
        ({"min_cohort": len(IDS) + 1}, f"{len(IDS) + 1} to 1048576"),
        ({"max_cohort": len(IDS) - 1}, f"3 to {len(IDS) - 1}"),
        ({"min_survivors": len(IDS) + 1}, f"at least {len(IDS) + 1}, the minimum of survivors"),
    ],
    ids=["below", "above", "below_the_survivors"],
)
def test_a_cohort_outside_the_policy_is_refused(model: AdversaryModel, policy: dict[str, int], accepted: str):
    scene = Scene(model, policies={VICTIM: policy})
    error = scene.refused(VICTIM, scene.outbound[VICTIM], PolicyViolationError)
    assert (error.rule, error.offered, error.accepted) == ("cohort_size", len(IDS), accepted)
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
def test_a_roster_smaller_than_the_smallest_cohort_is_refused(model: AdversaryModel):
    scene = Scene(model, policies={VICTIM: {"min_cohort": len(IDS)}}).until("share_keys", silent={SPARE})
    error = scene.refused(VICTIM, scene.outbound[VICTIM], PolicyViolationError)
    assert (error.rule, error.offered) == ("cohort_size", len(IDS) - 1)
    assert error.accepted == f"at least {len(IDS)} in the roster"
    scene.assert_exact(scene.finish(), missing={VICTIM, SPARE})


@both_models
def test_a_roster_too_small_for_the_threshold_is_refused(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    lie = scene.roster_message(scene.roster()[:THRESHOLD])
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "roster_size"


@both_models
def test_a_roster_larger_than_the_cohort_is_garbage(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    entries = scene.roster()
    scene.ignored(VICTIM, scene.roster_message([*entries, entries[-1]]))
    scene.assert_exact(scene.finish())
