"""A server offers a threshold, or a graph, that too few colluding clients could reach or cut."""

import pytest

from secagg.errors import PolicyViolationError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import (
    ACTIVE,
    HONEST_BUT_CURIOUS,
    NEIGHBOURS,
    THRESHOLD,
    VICTIM,
    Scene,
    both_models,
    complete_only,
    forged_offer,
    offer,
    sparse_only,
    whole_roster_shown,
)

NEIGHBOURS_FIELD, THRESHOLD_FIELD = 6, 10


@complete_only
@pytest.mark.usefixtures("minimum_accepted_at_the_invitation")
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


# Three of eleven are corrupt, and two runs of four, or one neighbourhood of eight, hold so many of them.
WEAK = {
    "one_less": (ACTIVE, {"threshold": THRESHOLD - 1}, "uncuttable"),
    "fewer_neighbours": (ACTIVE, {"neighbours": 4, "threshold": 3}, "uncuttable"),
    "two_neighbours": (HONEST_BUT_CURIOUS, {"neighbours": 2, "threshold": 2}, "connected"),
    "as_many_as_corrupt": (HONEST_BUT_CURIOUS, {"threshold": 3}, "private"),
    "one_share": (HONEST_BUT_CURIOUS, {"threshold": 1}, "private"),
}


@sparse_only
@pytest.mark.parametrize("graph_offered", WEAK)
def test_a_graph_that_the_policy_cannot_certify_is_refused_before_any_key_is_drawn(graph_offered: str):
    model, weak, condition = WEAK[graph_offered]
    scene = Scene(model)
    error = scene.refused(VICTIM, offer(scene.outbound[VICTIM], **weak), PolicyViolationError)
    assert error.rule == condition
    clients = f"11 clients, {weak.get('neighbours', NEIGHBOURS)} neighbours, threshold {weak['threshold']}"
    assert clients in error.offered
    # 40 bits, half of them for each of two conditions, and in the ACTIVE model 64 for the rosters that it may try.
    assert error.accepted == ("at most 2^-105.0" if model is ACTIVE else "at most 2^-41.0")
    scene.assert_exact(scene.finish(), missing={VICTIM})


@sparse_only
def test_a_threshold_of_half_the_neighbours_is_accepted_from_a_server_that_asks_once():
    # Two disjoint quorums are no danger in this model, and three corrupt clients do not open anybody.
    scene = Scene(HONEST_BUT_CURIOUS)
    assert scene.deliver(VICTIM, offer(scene.outbound[VICTIM], threshold=NEIGHBOURS // 2)) is not None


@sparse_only
@pytest.mark.parametrize(("corrupt_fraction", "condition"), [(0.3, "uncuttable"), (0.45, "uncuttable")])
def test_a_graph_is_judged_by_the_victims_own_assumptions(corrupt_fraction: float, condition: str):
    policy = {VICTIM: {"corrupt_fraction": corrupt_fraction}}
    scene = Scene(ACTIVE, policies=policy)
    assert scene.refused(VICTIM, scene.outbound[VICTIM], PolicyViolationError).rule == condition
    scene.assert_exact(scene.finish(), missing={VICTIM})


@whole_roster_shown
@pytest.mark.parametrize("threshold", [0, 1, 4, NEIGHBOURS + 1, 2**32 - 1])
def test_a_threshold_that_no_session_can_have_is_garbage(model: AdversaryModel, threshold: int):
    scene = Scene(model)
    lie = forged_offer(scene.outbound[VICTIM], THRESHOLD_FIELD, "<I", threshold)
    assert scene.ignored(VICTIM, lie).reason == "invalid parameters: threshold"
    scene.assert_exact(scene.finish())


@both_models
@pytest.mark.parametrize("threshold", [0, NEIGHBOURS + 1, 2**32 - 1])
def test_a_threshold_beyond_the_neighbours_or_of_nobody_is_garbage(model: AdversaryModel, threshold: int):
    scene = Scene(model)
    lie = forged_offer(scene.outbound[VICTIM], THRESHOLD_FIELD, "<I", threshold)
    assert scene.ignored(VICTIM, lie).reason == "invalid parameters: threshold"
    scene.assert_exact(scene.finish())


@both_models
@pytest.mark.parametrize("neighbours", [0, 1, NEIGHBOURS - 1, 11, 2**32 - 1])
def test_neighbours_that_no_graph_can_have_are_garbage(model: AdversaryModel, neighbours: int):
    # Odd, nobody, or more than there are; 0 is the complete graph's in a call, never on the wire.
    scene = Scene(model)
    lie = forged_offer(scene.outbound[VICTIM], NEIGHBOURS_FIELD, "<I", neighbours)
    assert scene.ignored(VICTIM, lie).reason == "invalid parameters: neighbours"
    scene.assert_exact(scene.finish())
