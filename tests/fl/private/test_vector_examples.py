"""fl.private.vector: where single examples are protected, each is clipped and rounded on its own."""

import math
from typing import Any

import numpy as np
import pytest

from dp.vocabulary import Unit
from fl.arrays.flatten import flatten
from fl.errors import SchemaMismatchError
from fl.private.vector import PrivateVector
from secagg.errors import InvalidInputError, LocalError
from tests.kit.private_round_scene import (
    CURIOUS,
    SCHEMA,
    planned,
    update_of,
    without_noise,
)
from tests.kit.private_vectors import CONTEXT, clipped, recorded, released

EXAMPLES = {"unit": Unit.EXAMPLE, "examples_per_client": 20, "adversary": CURIOUS}


def test_each_example_is_clipped_and_rounded_on_its_own(monkeypatch: pytest.MonkeyPatch):
    without_noise(monkeypatch)
    rounded = recorded(monkeypatch)
    plan = planned(**EXAMPLES, modulus_bits=24)
    updates = [update_of(number, norm=0.3 * number) for number in range(20)]
    words = PrivateVector(plan, CONTEXT, 1.0).encode_examples(updates)
    assert len(rounded) == 20
    assert max(sum(int(entry) ** 2 for entry in one) for one in rounded) <= plan.noise.squared_norm_bound
    total = released(plan, [words])
    true = np.add.reduce([clipped(flatten(update, SCHEMA), 1.0) for update in updates])
    assert np.linalg.norm(total.update - true) < 20 * 4 / plan.scale(1.0) + 2e-5
    # The same as one array.
    flat = np.array([flatten(update, SCHEMA) for update in updates])
    again = released(plan, [PrivateVector(plan, CONTEXT, 1.0).encode_examples(flat)])
    assert np.linalg.norm(again.update - total.update) < 40 * 4 / plan.scale(1.0)


def test_a_client_without_examples_sends_its_noise():
    plan = planned(**EXAMPLES)
    for none in ([], (), np.zeros((0, 15))):
        assert PrivateVector(plan, CONTEXT, 1.0).encode_examples(none).any()


def test_more_examples_than_the_cap_are_refused():
    plan = planned(**EXAMPLES)
    vector = PrivateVector(plan, CONTEXT, 1.0)
    vector.encode_examples([update_of(1)] * 20)
    for many in ([update_of(1)] * 21, np.zeros((21, 15))):
        with pytest.raises(InvalidInputError) as refused:
            vector.encode_examples(many)
        assert (refused.value.field, refused.value.allowed) == ("updates", "at most 20")


@pytest.mark.parametrize(
    ("examples", "failure"),
    [
        (np.zeros((3, 16)), SchemaMismatchError),
        (np.zeros((3, 15), np.float32), SchemaMismatchError),
        (np.zeros(15), InvalidInputError),
        (np.zeros(()), InvalidInputError),
        (np.zeros((2, 3, 5)), InvalidInputError),
        (np.full((2, 15), math.nan), InvalidInputError),
        (np.full((2, 15), -math.inf), InvalidInputError),
        ([update_of(1), {"w": np.zeros(3)}], SchemaMismatchError),
        ([np.zeros(15), np.zeros(14)], SchemaMismatchError),
        ({"w": np.zeros((4, 3)), "b": np.zeros(3)}, InvalidInputError),
        ("examples", SchemaMismatchError),
        (iter([update_of(1)]), InvalidInputError),
        (None, InvalidInputError),
        (5, InvalidInputError),
    ],
    ids=[
        "long",
        "dtype",
        "flat",
        "scalar",
        "cube",
        "nan",
        "inf",
        "another model",
        "rows",
        "dict",
        "text",
        "iterator",
        "none",
        "int",
    ],
)
def test_examples_of_another_form_are_refused(examples: Any, failure: type[LocalError]):
    with pytest.raises(failure):
        PrivateVector(planned(**EXAMPLES), CONTEXT, 1.0).encode_examples(examples)


def test_examples_and_updates_are_not_taken_for_each_other():
    with pytest.raises(InvalidInputError, match="encode_examples"):
        PrivateVector(planned(**EXAMPLES), CONTEXT, 1.0).encode(update_of(1))
    with pytest.raises(InvalidInputError, match="this plan protects whole clients"):
        PrivateVector(planned(), CONTEXT, 1.0).encode_examples([update_of(1)])


def test_where_examples_are_protected_the_denominator_has_to_be_public():
    plan = planned(**EXAMPLES)
    total = released(plan, [PrivateVector(plan, CONTEXT, 1.0).encode_examples([update_of(1)])])
    with pytest.raises(InvalidInputError) as refused:
        total.mean()
    assert refused.value.field == "denominator"
    assert np.allclose(flatten(total.mean(7.0), SCHEMA), total.update / 7)
