"""A server declares so many clients dropped that fewer peers than the threshold survive."""

import pytest

from secagg.errors import InconsistentServerError
from secagg.params import AdversaryModel
from tests.adversary.scene import IDS, THRESHOLD, VICTIM, Scene, both_models, without


@both_models
@pytest.mark.parametrize("peers", [0, 1, THRESHOLD - 1])
def test_too_few_surviving_peers_are_refused(model: AdversaryModel, peers: int):
    scene = Scene(model).until_survivors()
    lie = scene.survivor_set([VICTIM, *without(IDS, VICTIM)[:peers]])
    error = scene.refused(VICTIM, lie, InconsistentServerError)
    assert (error.rule, error.detail) == ("survivors", f"{peers} peers survive, {THRESHOLD} are needed")
    scene.assert_exact(scene.finish())
