"""A server closes with fewer survivors than a client demands, though the parameters were within its policy."""

from secagg.errors import PolicyViolationError
from secagg.params import AdversaryModel
from tests.adversary.scene import HONEST_BUT_CURIOUS, IDS, SPARE, VICTIM, Scene, both_models, without


@both_models
def test_fewer_survivors_than_the_policy_demands_are_refused(model: AdversaryModel):
    scene = Scene(model, policies={VICTIM: {"min_survivors": len(IDS)}}).until_survivors()
    error = scene.refused(VICTIM, scene.survivor_set(without(IDS, SPARE)), PolicyViolationError)
    assert (error.rule, error.offered, error.accepted) == ("min_survivors", len(IDS) - 1, f"at least {len(IDS)}")


@both_models
def test_the_minimum_holds_where_the_clients_dropped_out_in_earnest(model: AdversaryModel):
    scene = Scene(model, policies={VICTIM: {"min_survivors": len(IDS)}})
    scene.until("masked_input").until_survivors(silent={SPARE})
    error = scene.refused(VICTIM, scene.outbound[VICTIM], PolicyViolationError)
    assert (error.rule, error.offered) == ("min_survivors", len(IDS) - 1)
    scene.assert_exact(scene.finish(), missing={SPARE})


# Five of nine are assumed corrupt, and then seven survivors have two honest ones among them. (The ACTIVE model needs a
# threshold for so many that demands more survivors anyway.)
OUTNUMBERED = {"corrupt_fraction": 0.45}
SEVEN = [VICTIM, *without(IDS, VICTIM)[:6]]


def test_fewer_than_three_honest_survivors_are_refused():
    scene = Scene(HONEST_BUT_CURIOUS, policies={VICTIM: OUTNUMBERED}).until_survivors()
    error = scene.refused(VICTIM, scene.survivor_set(SEVEN), PolicyViolationError)
    assert (error.rule, error.offered, error.accepted) == ("min_survivors", 7, "at least 8")
    scene.assert_exact(scene.finish())


def test_a_small_consortium_accepts_two_by_name():
    policy = OUTNUMBERED | {"small_consortium": True}
    scene = Scene(HONEST_BUT_CURIOUS, policies={VICTIM: policy}).until_survivors()
    assert scene.deliver(VICTIM, scene.survivor_set(SEVEN)) is not None
