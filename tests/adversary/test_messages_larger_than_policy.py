"""A server opens a session whose messages are larger than a client's policy allows."""

import pytest

from secagg.errors import PolicyViolationError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import VICTIM, Scene, both_models


@both_models
@pytest.mark.parametrize("largest", [1_000, 24_000])
def test_a_session_whose_masked_vector_is_larger_than_the_policy_is_refused(model: AdversaryModel, largest: int):
    scene = Scene(model, policies={VICTIM: {"max_message_bytes": largest}}, params={"vector_length": 10_000})
    assert scene.params.packed_vector_bytes == 25_000
    error = scene.refused(VICTIM, scene.outbound[VICTIM], PolicyViolationError)
    assert error.rule == "max_message_bytes"


@both_models
def test_a_session_within_the_policy_is_joined(model: AdversaryModel):
    scene = Scene(model, policies={VICTIM: {"max_message_bytes": 26_000}}, params={"vector_length": 10_000})
    scene.assert_exact(scene.finish())
