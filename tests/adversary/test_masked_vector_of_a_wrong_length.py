"""A client sends a masked vector that is too short, too long, or has bits where none belong."""

import pytest

from secagg.errors import MalformedMessageError
from secagg.params import AdversaryModel
from secagg.protocol.messages import MaskedInput
from tests.kit.attack_scene import LIAR, Scene, both_models

# 11 words of 20 bits: 28 bytes, with four spare bits in the last.
CHANGES = {
    "empty": lambda vector: b"",
    "byte_short": lambda vector: vector[:-1],
    "byte_long": lambda vector: vector + b"\0",
    "word_short": lambda vector: vector[:-3],
    "spare_bit": lambda vector: vector[:-1] + bytes([vector[-1] | 0x10]),
    "all_ones": lambda vector: b"\xff" * len(vector),
}


@both_models
@pytest.mark.parametrize("change", CHANGES)
def test_it_is_named_and_the_sum_is_exact_without_it(model: AdversaryModel, change: str):
    scene = Scene(model).until("masked_input")
    replies = scene.answers()
    genuine = scene.read(replies[LIAR])
    vector = CHANGES[change](bytes(genuine.vector))
    lie = scene.write(MaskedInput(memoryview(vector), genuine.unopened, genuine.task_digest))
    error = scene.accused(LIAR, lie, MalformedMessageError)
    assert "vector" in error.reason or "at most" in error.reason
    del replies[LIAR]
    scene.upload(replies)
    scene.close()
    result = scene.finish()
    scene.assert_exact(result, missing={LIAR})
    assert result.culprits[LIAR].error == "MalformedMessageError"


@both_models
def test_a_refused_vector_was_not_added_in_part(model: AdversaryModel):
    scene = Scene(model).until("masked_input")
    replies = scene.answers()
    genuine = scene.read(replies[LIAR])
    spoilt = bytes(genuine.vector[:-1]) + b"\xff"
    scene.accused(
        LIAR,
        scene.write(MaskedInput(memoryview(spoilt), genuine.unopened, genuine.task_digest)),
        MalformedMessageError,
    )
    # The sender thinks better of it, and counts once.
    scene.upload(replies)
    scene.close()
    scene.assert_exact(scene.finish())
