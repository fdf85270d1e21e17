"""A server tells a client whose masked vector it holds that it did not survive."""

import pytest

from secagg.errors import InconsistentServerError
from secagg.params import AdversaryModel
from tests.adversary.scene import IDS, VICTIM, Scene, both_models, without


@both_models
@pytest.mark.parametrize("total", [len(IDS) - 1, len(IDS)])
def test_a_survivor_set_without_the_client_is_refused(model: AdversaryModel, total: int):
    scene = Scene(model).until_survivors()
    lie = scene.survivor_set(without(IDS, VICTIM), total)
    error = scene.refused(VICTIM, lie, InconsistentServerError)
    assert (error.rule, error.detail) == ("survivors", "this client is missing from the survivor set")
    scene.assert_exact(scene.finish())
