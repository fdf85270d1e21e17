"""A server states another number of survivors than its set has."""

import pytest

from secagg.errors import InconsistentServerError
from secagg.params import AdversaryModel
from tests.adversary.scene import IDS, SPARE, VICTIM, Scene, both_models, without


@both_models
@pytest.mark.parametrize("total", [0, len(IDS) - 1, len(IDS) + 1, 2**32 - 1])
def test_a_total_unlike_the_set_is_refused(model: AdversaryModel, total: int):
    scene = Scene(model).until_survivors()
    error = scene.refused(VICTIM, scene.survivor_set(IDS, total), InconsistentServerError)
    assert (error.rule, error.detail) == ("survivors", "the stated number of survivors is not that of the set")
    scene.assert_exact(scene.finish())


@both_models
def test_a_total_that_hides_a_set_below_the_minimum_is_refused(model: AdversaryModel):
    scene = Scene(model, policies={VICTIM: {"min_survivors": len(IDS)}}).until_survivors()
    lie = scene.survivor_set(without(IDS, SPARE), len(IDS))
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "survivors"


@both_models
@pytest.mark.parametrize("total", [-1, 2**32, 2**32 + len(IDS), 2**63])
def test_a_total_that_is_no_u32_is_garbage(model: AdversaryModel, total: int):
    scene = Scene(model).until_survivors()
    scene.ignored(VICTIM, scene.survivor_set(IDS, total))
    scene.assert_exact(scene.finish())
