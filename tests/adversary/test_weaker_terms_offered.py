"""A server offers a weaker adversary model or a suite that the policy excludes."""

from secagg.errors import PolicyViolationError
from secagg.params import AdversaryModel
from secagg.prg import Suite
from tests.adversary.scene import VICTIM, Scene, both_models, offer


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
