"""fl.private.contribution: one object for what a client hands in, or its parts; never both, and never shown."""

from pathlib import Path

import numpy as np
import pytest

from dp.vocabulary import Unit
from fl.private import Contribution
from fl.private.vector import PrivateVector
from secagg.errors import InvalidInputError
from tests.kit.private_round_scene import CURIOUS, LOSS, VICTIM, Scene, contribution_of, planned, update_of


def asked(folder: Path) -> Scene:
    """Returns a round in which every client is asked for its update, its weight and its loss."""
    plan = planned(adversary=CURIOUS, weight_cap=50, side_values=(LOSS,))
    return Scene(folder, plan).begin().until("masked_input")


def test_the_parts_in_place_of_the_object_do_the_same(tmp_path: Path):
    scene = asked(tmp_path)
    given = contribution_of(scene.plan, VICTIM)
    reply = scene.clients[VICTIM].receive(
        scene.outbound[VICTIM], update=given.update, weight=given.weight, side_values=given.side_values
    )
    assert reply is not None
    scene.server.receive(VICTIM, reply)
    del scene.outbound[VICTIM]  # type: ignore[attr-defined]
    assert scene.finish().survivors == scene.plan.clients


def test_both_forms_at_once_are_refused_and_nothing_happened(tmp_path: Path):
    scene = asked(tmp_path)
    given = contribution_of(scene.plan, VICTIM)
    for part in ({"update": given.update}, {"weight": 2}, {"side_values": {}}, {"examples": []}):
        with pytest.raises(InvalidInputError, match="contribution"):
            scene.clients[VICTIM].receive(scene.outbound[VICTIM], given, **part)
    assert scene.clients[VICTIM].wants_input
    assert scene.finish().survivors == scene.plan.clients


def test_a_contribution_has_an_update_or_examples():
    vector = PrivateVector(planned(adversary=CURIOUS), bytes(32), 1.0)
    update = update_of(VICTIM)
    for neither in (Contribution(), Contribution(update, examples=[update])):
        with pytest.raises(InvalidInputError, match="one of the two"):
            vector.encode_contribution(neither)
    assert len(vector.encode_contribution(Contribution(update))) == planned(adversary=CURIOUS).vector_length


def test_examples_come_without_a_weight_and_without_side_values():
    plan = planned(adversary=CURIOUS, unit=Unit.EXAMPLE, examples_per_client=4)
    vector = PrivateVector(plan, bytes(32), 1.0)
    examples = [update_of(client) for client in (1, 2)]
    for mixed in (
        Contribution(weight=2, examples=examples),
        Contribution(side_values={"loss": 1.0}, examples=examples),
    ):
        with pytest.raises(InvalidInputError, match="left out with examples"):
            vector.encode_contribution(mixed)
    assert len(vector.encode_contribution(Contribution(examples=examples))) == plan.vector_length


def test_its_repr_shows_none_of_it():
    shown = repr(Contribution({"w": np.full(3, 0.125)}, 17, {"loss": 4.5}))
    assert shown == "Contribution()"
