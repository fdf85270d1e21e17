"""A server declares so many clients dropped that fewer peers than the threshold survive."""

import pytest

from secagg.errors import InconsistentServerError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import THRESHOLD, VICTIM, Scene, both_models, sparse_only


@both_models
@pytest.mark.parametrize("peers", [0, 1, THRESHOLD - 1])
def test_too_few_surviving_peers_are_refused(model: AdversaryModel, peers: int):
    scene = Scene(model).until_survivors()
    lie = scene.survivor_set(VICTIM, [VICTIM, *scene.neighbours(VICTIM)[:peers]])
    error = scene.refused(VICTIM, lie, InconsistentServerError)
    assert (error.rule, error.detail) == ("survivors", f"{peers} peers survive, {THRESHOLD} are needed")
    scene.assert_exact(scene.finish())


@sparse_only
@both_models
def test_surviving_strangers_do_not_make_up_for_peers(model: AdversaryModel):
    scene = Scene(model).until_survivors()
    lie = scene.survivor_set(VICTIM, [VICTIM, *scene.strangers(VICTIM), *scene.neighbours(VICTIM)[: THRESHOLD - 1]])
    error = scene.refused(VICTIM, lie, InconsistentServerError)
    assert (error.rule, error.detail) == ("survivors", f"{THRESHOLD - 1} peers survive, {THRESHOLD} are needed")
    scene.assert_exact(scene.finish())
