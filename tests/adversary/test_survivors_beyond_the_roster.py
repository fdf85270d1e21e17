"""A server counts strangers among the survivors."""

from secagg.params import AdversaryModel
from tests.kit.attack_scene import HONEST_BUT_CURIOUS, VICTIM, Scene, bitmap, both_models, sparse_only


@both_models
def test_a_survivor_beyond_the_roster_is_garbage(model: AdversaryModel):
    scene = Scene(model).until_survivors()
    everyone = scene.bitmap(VICTIM, scene.ids)
    spare = range(len(scene.seen(VICTIM)) % 8, 8)
    assert len(spare) == (5 if scene.sparse and scene.params.shows_roster else 7)
    for bit in spare:
        beyond = everyone[:-1] + bytes([everyone[-1] | 1 << bit])
        for total in (len(scene.ids), len(scene.ids) + 1):
            lie = scene.altered(scene.outbound[VICTIM], survivors=beyond, total=total)
            assert "no bitmap" in scene.ignored(VICTIM, lie).reason
    scene.assert_exact(scene.finish())


@both_models
def test_a_survivor_set_over_a_roster_of_another_size_is_garbage(model: AdversaryModel):
    scene = Scene(model).until_survivors()
    everyone = scene.bitmap(VICTIM, scene.ids)
    for survivors in (b"", everyone[:-1], everyone + b"\0", everyone + b"\x01"):
        scene.ignored(VICTIM, scene.altered(scene.outbound[VICTIM], survivors=survivors))
    scene.assert_exact(scene.finish())


@sparse_only
def test_survivors_among_strangers_are_garbage_to_who_sees_its_neighbourhood_only():
    scene = Scene(HONEST_BUT_CURIOUS).until_survivors()
    lie = scene.altered(scene.outbound[VICTIM], survivors=bitmap(scene.ids, scene.ids))
    assert "no bitmap over 9 clients" in scene.ignored(VICTIM, lie).reason
    scene.assert_exact(scene.finish())
