"""A server tells a client whose masked vector it holds that it did not survive."""

import pytest

from secagg.errors import InconsistentServerError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import VICTIM, Scene, both_models, without


@both_models
@pytest.mark.parametrize("missing", [1, 0])
def test_a_survivor_set_without_the_client_is_refused(model: AdversaryModel, missing: int):
    scene = Scene(model).until_survivors()
    lie = scene.survivor_set(VICTIM, without(scene.ids, VICTIM), len(scene.ids) - missing)
    error = scene.refused(VICTIM, lie, InconsistentServerError)
    assert (error.rule, error.detail) == ("survivors", "this client is missing from the survivor set")
    scene.assert_exact(scene.finish())
