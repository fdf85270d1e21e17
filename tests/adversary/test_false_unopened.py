"""A client lists as unopened what was never delivered to it: itself, strangers, or clients that dealt nothing."""

import pytest

from secagg.errors import MalformedMessageError
from secagg.params import AdversaryModel
from tests.adversary.scene import IDS, LIAR, SPARE, VICTIM, Scene, bitmap, both_models


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
@pytest.mark.parametrize("listed", [[LIAR], [LIAR, VICTIM], list(IDS)], ids=["itself", "itself_too", "everyone"])
def test_a_client_that_lists_itself_is_named(model: AdversaryModel, listed: list[int]):
    refuse(Scene(model).until("masked_input"), bitmap(listed))


@both_models
def test_a_client_that_lists_one_that_dealt_nothing_is_named(model: AdversaryModel):
    scene = Scene(model).until("share_keys").until("masked_input", silent={SPARE})
    refuse(scene, bitmap([SPARE]), SPARE)


@both_models
@pytest.mark.parametrize("listed", [b"", b"\x00", b"\x00\x02", b"\x00\x80", b"\xff\xff", bytes(3)])
def test_a_client_that_lists_strangers_is_named(model: AdversaryModel, listed: bytes):
    refuse(Scene(model).until("masked_input"), listed)
