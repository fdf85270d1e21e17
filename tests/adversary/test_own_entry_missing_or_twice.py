"""A server leaves the victim out of the roster that it shows it, or lists it twice."""

from dataclasses import replace

from secagg.errors import InconsistentServerError
from secagg.params import AdversaryModel
from tests.adversary.scene import SPARE, STRANGER, VICTIM, Scene, both_models


@both_models
def test_a_client_refuses_a_roster_without_itself(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    lie = scene.roster_message(entry for entry in scene.roster() if entry.client != VICTIM)
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "own_entry"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
def test_a_client_refuses_a_roster_with_itself_twice(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    entries = [entry for entry in scene.roster() if entry.client != SPARE]
    lie = scene.roster_message(entry for entry in entries for _ in range(2 if entry.client == VICTIM else 1))
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "roster_order"


@both_models
def test_a_client_refuses_a_roster_with_its_keys_under_a_second_id(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    entries = [entry for entry in scene.roster() if entry.client != SPARE]
    own = next(entry for entry in entries if entry.client == VICTIM)
    entries = sorted([*entries, replace(own, client=STRANGER)], key=lambda entry: entry.client)
    assert scene.refused(VICTIM, scene.roster_message(entries), InconsistentServerError).rule == "distinct_keys"
