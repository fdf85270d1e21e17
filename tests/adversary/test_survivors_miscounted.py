"""A server states another number of survivors than its set has.

Who sees the whole roster counts for itself. Who sees its neighbourhood only is told how many survive of those beyond,
and believes no more than there are.
"""

import pytest

from secagg.errors import InconsistentServerError, PolicyViolationError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import (
    HONEST_BUT_CURIOUS,
    SPARE,
    VICTIM,
    Scene,
    both_models,
    sparse_only,
    whole_roster_shown,
    without,
)

# A client that insists on more than is offered refuses the invitation: here it is let in, for what it refuses later.
pytestmark = pytest.mark.usefixtures("minimum_accepted_at_the_invitation")


@whole_roster_shown
@pytest.mark.parametrize("difference", [-1, 1])
def test_a_total_unlike_the_set_is_refused(model: AdversaryModel, difference: int):
    scene = Scene(model).until_survivors()
    lie = scene.survivor_set(VICTIM, scene.ids, len(scene.ids) + difference)
    error = scene.refused(VICTIM, lie, InconsistentServerError)
    assert (error.rule, error.detail) == ("survivors", "the stated number of survivors is not that of the set")
    scene.assert_exact(scene.finish())


@both_models
@pytest.mark.parametrize("total", ["0", "1", "seen - 1", "everyone + 1", "most"])
def test_a_total_that_cannot_be_is_refused(model: AdversaryModel, total: str):
    scene = Scene(model).until_survivors()
    stated = {
        "0": 0,
        "1": 1,
        "seen - 1": len(scene.seen(VICTIM)) - 1,
        "everyone + 1": len(scene.ids) + 1,
        "most": 2**32 - 1,
    }[total]
    error = scene.refused(VICTIM, scene.survivor_set(VICTIM, scene.ids, stated), InconsistentServerError)
    assert (error.rule, error.detail) == ("survivors", "the stated number of survivors is not that of the set")
    scene.assert_exact(scene.finish())


@both_models
def test_a_total_that_hides_a_set_below_the_minimum_is_refused(model: AdversaryModel):
    # A peer is missing, and everyone else that there is does not add up to the total.
    scene = Scene(model, policies={VICTIM: {"min_survivors": len(Scene(model).ids)}}).until_survivors()
    lie = scene.survivor_set(VICTIM, without(scene.ids, SPARE), len(scene.ids))
    error = scene.refused(VICTIM, lie, InconsistentServerError)
    assert (error.rule, error.detail) == ("survivors", "the stated number of survivors is not that of the set")


@sparse_only
@pytest.mark.parametrize("beyond", [0, 1, 2])
def test_a_number_of_survivors_beyond_the_neighbourhood_is_taken_on_trust(beyond: int):
    # That server does not lie, by the model; the client's own minimum holds for what it is told.
    scene = Scene(HONEST_BUT_CURIOUS, policies={VICTIM: {"min_survivors": 11}}).until_survivors()
    total = len(scene.seen(VICTIM)) + beyond
    lie = scene.survivor_set(VICTIM, without(scene.ids, *scene.strangers(VICTIM)), total)
    if beyond < 2:
        error = scene.refused(VICTIM, lie, PolicyViolationError)
        assert (error.rule, error.offered, error.accepted) == ("min_survivors", total, "at least 11")
    else:
        assert scene.deliver(VICTIM, lie) is not None


@both_models
@pytest.mark.parametrize("total", [-1, 2**32, 2**32 + 9, 2**32 + 11, 2**63])
def test_a_total_that_is_no_u32_is_garbage(model: AdversaryModel, total: int):
    scene = Scene(model).until_survivors()
    scene.ignored(VICTIM, scene.survivor_set(VICTIM, scene.ids, total))
    scene.assert_exact(scene.finish())
