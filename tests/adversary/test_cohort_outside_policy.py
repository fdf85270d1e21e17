"""A server gathers fewer or more clients than a client's policy allows, or shows too few of them."""

from collections.abc import Callable

import pytest

from secagg.errors import InconsistentServerError, PolicyViolationError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import (
    HONEST_BUT_CURIOUS,
    NEIGHBOURS,
    SPARE,
    THRESHOLD,
    VICTIM,
    Scene,
    both_models,
    sparse_only,
)

TERMS: dict[str, Callable[[int], tuple[str, int, str]]] = {
    "below": lambda size: ("min_cohort", size + 1, f"{size + 1} to 4096"),
    "above": lambda size: ("max_cohort", size - 1, f"3 to {size - 1}"),
    "below_the_survivors": lambda size: ("min_survivors", size + 1, f"at least {size + 1}, the minimum of survivors"),
}


@both_models
@pytest.mark.parametrize("terms", TERMS)
def test_a_cohort_outside_the_policy_is_refused(model: AdversaryModel, terms: str):
    size = len(Scene(model).ids)
    name, bound, accepted = TERMS[terms](size)
    scene = Scene(model, policies={VICTIM: {"min_cohort": 3, name: bound}})
    error = scene.refused(VICTIM, scene.outbound[VICTIM], PolicyViolationError)
    assert (error.rule, error.offered, error.accepted) == ("cohort_size", size, accepted)
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
def test_a_roster_smaller_than_the_smallest_cohort_is_refused(model: AdversaryModel):
    size = len(Scene(model).ids)
    scene = Scene(model, policies={VICTIM: {"min_cohort": size}}).until("share_keys", silent={SPARE})
    error = scene.refused(VICTIM, scene.outbound[VICTIM], PolicyViolationError)
    assert (error.rule, error.offered) == ("cohort_size", size - 1)
    assert error.accepted == f"at least {size} in the roster"
    scene.assert_exact(scene.finish(), missing={VICTIM, SPARE})


@both_models
def test_a_roster_too_small_for_the_threshold_is_refused(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    # Of so few everyone sees everyone, in either graph.
    lie = scene.roster_message(scene.roster(VICTIM)[:THRESHOLD], VICTIM, total=THRESHOLD)
    error = scene.refused(VICTIM, lie, InconsistentServerError)
    assert error.rule == "roster_size"
    assert error.detail == f"{THRESHOLD - 1} peers cannot hold {THRESHOLD} shares of a secret"


@both_models
def test_a_roster_larger_than_the_cohort_is_garbage(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    entries = scene.roster(VICTIM)
    scene.ignored(VICTIM, scene.roster_message([*entries, entries[-1]], VICTIM))
    scene.assert_exact(scene.finish())


@both_models
@pytest.mark.parametrize("entries", [1, 2, THRESHOLD, NEIGHBOURS])
def test_fewer_entries_than_a_client_should_see_are_refused(model: AdversaryModel, entries: int):
    scene = Scene(model).until("share_keys")
    visible = scene.roster(VICTIM)
    lie = scene.roster_message(visible[:entries], VICTIM, total=len(scene.ids))
    error = scene.refused(VICTIM, lie, InconsistentServerError)
    assert error.rule == "roster_size"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@sparse_only
def test_a_client_that_sees_a_part_refuses_ranks_beyond_the_number_of_clients():
    # The rest of the number it takes on trust: the model's server does not lie.
    scene = Scene(HONEST_BUT_CURIOUS).until("share_keys")
    visible = scene.seen(VICTIM)
    assert max(scene.public().roster.index[client] for client in visible) >= len(visible)
    lie = scene.altered(scene.outbound[VICTIM], total=len(visible))
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "roster_index"
    scene.assert_exact(scene.finish(), missing={VICTIM})
