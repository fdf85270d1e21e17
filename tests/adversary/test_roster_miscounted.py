"""A server states another number of clients than the roster has, or shows a part of it where all is due.

The number decides how many entries a client sees, which graph its policy judges, and how many survivors there can be.
"""

import pytest

from secagg.errors import InconsistentServerError, PolicyViolationError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import (
    ACTIVE,
    HONEST_BUT_CURIOUS,
    NEIGHBOURS,
    VICTIM,
    Scene,
    both_models,
    sparse_only,
    whole_roster_shown,
)


@whole_roster_shown
@pytest.mark.parametrize("difference", [-1, 1])
def test_a_total_unlike_the_entries_is_refused(model: AdversaryModel, difference: int):
    scene = Scene(model).until("share_keys")
    total = len(scene.ids) + difference
    lie = scene.altered(scene.outbound[VICTIM], total=total)
    error = scene.refused(VICTIM, lie, InconsistentServerError)
    assert error.rule == "roster_size"
    assert error.detail == f"{len(scene.ids)} entries of a roster of {total} are not what this client should see"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
@pytest.mark.parametrize("total", [0, 1, NEIGHBOURS, 12, 2**32 - 1])
def test_a_total_that_cannot_be_is_refused(model: AdversaryModel, total: int):
    scene = Scene(model).until("share_keys")
    lie = scene.altered(scene.outbound[VICTIM], total=total)
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "roster_size"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
@pytest.mark.parametrize("total", [-1, 2**32, 2**63])
def test_a_total_that_is_no_u32_is_garbage(model: AdversaryModel, total: int):
    scene = Scene(model).until("share_keys")
    scene.ignored(VICTIM, scene.altered(scene.outbound[VICTIM], total=total))
    scene.assert_exact(scene.finish())


@sparse_only
def test_a_neighbourhood_in_place_of_the_roster_is_refused():
    # The other model's roster: whose signatures count among half of all, a client would not know.
    scene = Scene(ACTIVE).until("share_keys")
    shown = [entry for entry in scene.roster() if entry.client not in scene.strangers(VICTIM)]
    lie = scene.roster_message(shown, VICTIM, total=len(scene.ids))
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "roster_size"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@sparse_only
@pytest.mark.parametrize("too_many", [1, 2])
def test_more_than_the_neighbourhood_is_garbage(too_many: int):
    # Longer than a roster can be under these parameters: nothing of it is read.
    scene = Scene(HONEST_BUT_CURIOUS).until("share_keys")
    everyone = {entry.client: entry for client in scene.ids for entry in scene.roster(client)}
    shown = [everyone[client] for client in sorted({*scene.seen(VICTIM), *scene.strangers(VICTIM)[:too_many]})]
    assert len(shown) == NEIGHBOURS + 1 + too_many
    scene.ignored(VICTIM, scene.roster_message(shown, VICTIM))
    scene.assert_exact(scene.finish())


@sparse_only
@pytest.mark.parametrize("total", [NEIGHBOURS + 1, NEIGHBOURS + 2])
def test_a_total_that_a_client_takes_on_trust_is_judged_by_its_policy(total: int):
    careful = {"min_cohort": NEIGHBOURS + 3}
    scene = Scene(HONEST_BUT_CURIOUS, policies={VICTIM: careful}).until("share_keys")
    lie = scene.roster_message(scene.roster(VICTIM), VICTIM, total)
    error = scene.refused(VICTIM, lie, PolicyViolationError)
    assert (error.rule, error.offered) == ("cohort_size", total)
    # Who asks for less believes it.
    credulous = scene.neighbours(VICTIM)[0]
    lie = scene.roster_message(scene.roster(credulous), credulous, total)
    assert scene.deliver(credulous, lie) is not None
