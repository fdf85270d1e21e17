"""A server closes with fewer survivors than a client demands, though the parameters were within its policy."""

import pytest

from secagg.errors import PolicyViolationError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import (
    ACTIVE,
    HONEST_BUT_CURIOUS,
    SPARE,
    VICTIM,
    Scene,
    both_models,
    complete_only,
    sparse_only,
    without,
)

# A client that insists on more than is offered refuses the invitation: here it is let in, for what it refuses later.
pytestmark = pytest.mark.usefixtures("minimum_accepted_at_the_invitation")


def demanding_all(model: AdversaryModel) -> Scene:
    return Scene(model, policies={VICTIM: {"min_survivors": len(Scene(model).ids)}})


@both_models
def test_fewer_survivors_than_the_policy_demands_are_refused(model: AdversaryModel):
    scene = demanding_all(model).until_survivors()
    fewest = len(scene.ids)
    lie = scene.survivor_set(VICTIM, without(scene.ids, SPARE))
    error = scene.refused(VICTIM, lie, PolicyViolationError)
    assert (error.rule, error.offered, error.accepted) == ("min_survivors", fewest - 1, f"at least {fewest}")


@sparse_only
@both_models
def test_strangers_that_dropped_are_missed_too(model: AdversaryModel):
    # Where it does not see them, it is told how many are left.
    scene = demanding_all(model).until_survivors()
    fewest = len(scene.ids)
    lie = scene.survivor_set(VICTIM, without(scene.ids, *scene.strangers(VICTIM)))
    error = scene.refused(VICTIM, lie, PolicyViolationError)
    assert (error.rule, error.offered, error.accepted) == ("min_survivors", fewest - 2, f"at least {fewest}")


@both_models
def test_the_minimum_holds_where_the_clients_dropped_out_in_earnest(model: AdversaryModel):
    scene = demanding_all(model)
    scene.until("masked_input").until_survivors(silent={SPARE})
    error = scene.refused(VICTIM, scene.outbound[VICTIM], PolicyViolationError)
    assert (error.rule, error.offered) == ("min_survivors", len(scene.ids) - 1)
    scene.assert_exact(scene.finish(), missing={SPARE})


@sparse_only
def test_survivors_that_neither_sealed_nor_signed_anything_do_not_count():
    # Both strangers are said to survive, and one of them does not sign: nothing shows that it is there.
    scene = demanding_all(ACTIVE).until("consistency")
    stranger = scene.strangers(VICTIM)[0]
    scene.until("unmask", silent={stranger})
    assert scene.read(scene.outbound[VICTIM]).signers == scene.bitmap(VICTIM, without(scene.ids, stranger))
    error = scene.refused(VICTIM, scene.outbound[VICTIM], PolicyViolationError)
    assert (error.rule, error.offered) == ("min_survivors", len(scene.ids) - 1)
    scene.assert_exact(scene.finish())


def test_a_peer_that_sealed_and_does_not_sign_counts():
    scene = demanding_all(ACTIVE).until("consistency").until("unmask", silent={SPARE})
    assert scene.read(scene.outbound[VICTIM]).signers == scene.bitmap(VICTIM, without(scene.ids, SPARE))
    scene.assert_exact(scene.finish())


# Five of nine are assumed corrupt, and then seven survivors have two honest ones among them. (The ACTIVE model needs a
# threshold for so many that demands more survivors anyway.)
OUTNUMBERED = {"corrupt_fraction": 0.45}


@complete_only
def test_fewer_than_three_honest_survivors_are_refused():
    scene = Scene(HONEST_BUT_CURIOUS, policies={VICTIM: OUTNUMBERED}).until_survivors()
    seven = [VICTIM, *scene.neighbours(VICTIM)[:6]]
    error = scene.refused(VICTIM, scene.survivor_set(VICTIM, seven), PolicyViolationError)
    assert (error.rule, error.offered, error.accepted) == ("min_survivors", 7, "at least 8")
    scene.assert_exact(scene.finish())


@complete_only
def test_a_small_consortium_accepts_two_by_name():
    policy = OUTNUMBERED | {"small_consortium": True}
    scene = Scene(HONEST_BUT_CURIOUS, policies={VICTIM: policy}).until_survivors()
    seven = [VICTIM, *scene.neighbours(VICTIM)[:6]]
    assert scene.deliver(VICTIM, scene.survivor_set(VICTIM, seven)) is not None


@sparse_only
@pytest.mark.parametrize("small_consortium", [False, True])
def test_fewer_than_keep_a_sparse_graph_connected_are_refused(small_consortium: bool):
    # Three that vanish and five that are corrupt could be all of eight neighbours; small consortium or not.
    policy = OUTNUMBERED | {"small_consortium": small_consortium}
    scene = Scene(HONEST_BUT_CURIOUS, policies={VICTIM: policy}, params={"min_survivors": 9}).until_survivors()
    eight = [VICTIM, *scene.neighbours(VICTIM)[:7]]
    error = scene.refused(VICTIM, scene.survivor_set(VICTIM, eight), PolicyViolationError)
    assert (error.rule, error.offered, error.accepted) == ("min_survivors", 8, "at least 9")
    scene.assert_exact(scene.finish())
