"""A server leaves the victim out of the roster that it shows it, or lists it twice."""

from dataclasses import replace

import pytest

from secagg.errors import InconsistentServerError
from secagg.params import AdversaryModel
from secagg.protocol.roster import RosterEntry
from tests.kit.attack_scene import SPARE, STRANGER, VICTIM, Scene, both_models


def peers(scene: Scene) -> list[RosterEntry]:
    """What the victim is shown, less itself."""
    return [entry for entry in scene.roster(VICTIM) if entry.client != VICTIM]


@both_models
def test_a_client_refuses_a_roster_without_itself(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    # Of a roster of so many a client sees everyone, in either graph.
    lie = scene.roster_message(peers(scene), VICTIM, total=len(peers(scene)))
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "own_entry"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
def test_a_client_refuses_a_roster_without_itself_in_which_somebody_has_its_place(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    entries = peers(scene)
    if scene.params.shows_roster:
        entries.append(scene.signed(replace(entries[0], client=STRANGER)))
    else:
        # Somebody whom the victim should not see.
        far_off = scene.strangers(VICTIM)[0]
        entries.append(next(entry for entry in scene.roster(far_off) if entry.client == far_off))
    entries.sort(key=lambda entry: entry.client)
    assert len(entries) == len(scene.seen(VICTIM))
    lie = scene.roster_message(entries, VICTIM)
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "own_entry"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
@pytest.mark.parametrize("difference", [-1, 1])
def test_a_client_refuses_a_roster_without_itself_that_is_miscounted(model: AdversaryModel, difference: int):
    scene = Scene(model).until("share_keys")
    lie = scene.roster_message(peers(scene), VICTIM, total=len(peers(scene)) + difference)
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "roster_size"
    scene.assert_exact(scene.finish(), missing={VICTIM})


@both_models
def test_a_client_refuses_a_roster_with_itself_twice(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    entries = [entry for entry in scene.roster(VICTIM) if entry.client != SPARE]
    twice = [entry for entry in entries for _ in range(2 if entry.client == VICTIM else 1)]
    lie = scene.roster_message(twice, VICTIM)
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "roster_order"


@both_models
def test_a_client_refuses_a_roster_with_its_keys_under_a_second_id(model: AdversaryModel):
    scene = Scene(model).until("share_keys")
    entries = [entry for entry in scene.roster(VICTIM) if entry.client != SPARE]
    own = next(entry for entry in entries if entry.client == VICTIM)
    entries = sorted([*entries, replace(own, client=STRANGER)], key=lambda entry: entry.client)
    lie = scene.roster_message(entries, VICTIM)
    assert scene.refused(VICTIM, lie, InconsistentServerError).rule == "distinct_keys"
