"""A client lists as unopened what was never delivered to it: itself, strangers, or clients that dealt nothing."""

import pytest

from secagg.errors import MalformedMessageError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import (
    ACTIVE,
    HONEST_BUT_CURIOUS,
    LIAR,
    SPARE,
    VICTIM,
    Scene,
    bitmap,
    both_models,
    sparse_only,
    without,
)


def refuse(scene: Scene, unopened: bytes, *absent: int) -> None:
    replies = scene.answers()
    lie = scene.altered(replies.pop(LIAR), unopened=unopened)
    assert "unopened" in scene.accused(LIAR, lie, MalformedMessageError).reason
    scene.upload(replies)
    scene.close()
    result = scene.finish()
    scene.assert_exact(result, missing={LIAR, *absent})
    assert result.culprits[LIAR].error == "MalformedMessageError"
    assert result.culprits[LIAR].stage == "masked_input"
    assert set(result.culprits) == {LIAR}


@both_models
@pytest.mark.parametrize("listed", ["itself", "itself_too", "everyone"])
def test_a_client_that_lists_itself_is_named(model: AdversaryModel, listed: str):
    scene = Scene(model).until("masked_input")
    members = {"itself": [LIAR], "itself_too": [LIAR, VICTIM], "everyone": scene.ids}[listed]
    refuse(scene, scene.bitmap(LIAR, members))


@both_models
def test_a_client_that_lists_one_that_dealt_nothing_is_named(model: AdversaryModel):
    scene = Scene(model).until("share_keys").until("masked_input", silent={SPARE})
    refuse(scene, scene.bitmap(LIAR, [SPARE]), SPARE)


SPARE_BITS = {
    "first": lambda size: (1 << size).to_bytes(2, "little"),
    "last": lambda size: b"\x00\x80",
    "all_ones": lambda size: b"\xff\xff",
}


@both_models
@pytest.mark.parametrize("bits", SPARE_BITS)
def test_a_client_that_lists_nobody_at_all_is_named(model: AdversaryModel, bits: str):
    scene = Scene(model).until("masked_input")
    size = len(scene.seen(LIAR))
    assert 8 < size < 16
    refuse(scene, SPARE_BITS[bits](size))


@both_models
@pytest.mark.parametrize("size", [0, 1, 3])
def test_a_list_over_fewer_or_more_clients_than_it_sees_is_garbage(model: AdversaryModel, size: int):
    refuse(Scene(model).until("masked_input"), bytes(size))


@sparse_only
@pytest.mark.parametrize("strangers", [slice(1), slice(1, 2), slice(2)])
def test_a_client_that_lists_those_that_dealt_but_not_to_it_is_named(strangers: slice):
    scene = Scene(ACTIVE).until("masked_input")
    refuse(scene, scene.bitmap(LIAR, [VICTIM, *scene.strangers(LIAR)[strangers]]))


@sparse_only
def test_a_client_that_sees_its_neighbours_only_has_no_bit_for_anybody_else():
    scene = Scene(HONEST_BUT_CURIOUS).until("masked_input")
    assert set(scene.strangers(LIAR)).isdisjoint(scene.seen(LIAR))
    # A list over the whole roster is as long; the bits past those that the liar sees are spare.
    everyone_else = bitmap(without(scene.ids, LIAR), scene.ids)
    assert len(everyone_else) == len(scene.bitmap(LIAR, []))
    refuse(scene, everyone_else)
