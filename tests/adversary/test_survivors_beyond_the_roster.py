"""A server counts strangers among the survivors."""

import pytest

from secagg.params import AdversaryModel
from tests.adversary.scene import IDS, VICTIM, Scene, bitmap, both_models


@both_models
@pytest.mark.parametrize("bit", range(len(IDS) % 8, 8))
def test_a_survivor_beyond_the_roster_is_garbage(model: AdversaryModel, bit: int):
    scene = Scene(model).until_survivors()
    everyone = bitmap(IDS)
    strangers = everyone[:-1] + bytes([everyone[-1] | 1 << bit])
    lie = scene.altered(scene.outbound[VICTIM], survivors=strangers, total=len(IDS) + 1)
    assert "no bitmap" in scene.ignored(VICTIM, lie).reason
    scene.assert_exact(scene.finish())


@both_models
def test_a_survivor_set_over_a_roster_of_another_size_is_garbage(model: AdversaryModel):
    scene = Scene(model).until_survivors()
    for survivors in (b"", bitmap(IDS)[:-1], bitmap(IDS) + b"\0", bitmap(IDS) + b"\x01"):
        scene.ignored(VICTIM, scene.altered(scene.outbound[VICTIM], survivors=survivors))
    scene.assert_exact(scene.finish())
