"""A server delivers the shares of fewer peers than the threshold, so that few need to collude."""

import pytest

from secagg.errors import InconsistentServerError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import THRESHOLD, VICTIM, Scene, both_models, records


@both_models
@pytest.mark.parametrize("delivered", [0, 1, THRESHOLD - 1])
def test_shares_of_fewer_peers_than_the_threshold_are_refused(model: AdversaryModel, delivered: int):
    scene = Scene(model).until("masked_input")
    # Strangers deal too, and do not count.
    dealers = [VICTIM, *scene.strangers(VICTIM), *scene.neighbours(VICTIM)[:delivered]]
    table = records(scene.read(scene.outbound[VICTIM]).table)[:delivered]
    lie = scene.altered(scene.outbound[VICTIM], dealers=scene.bitmap(VICTIM, dealers), table=b"".join(table))
    error = scene.refused(VICTIM, lie, InconsistentServerError)
    assert (error.rule, error.detail) == (
        "dealers",
        f"shares of {delivered} peers were delivered, {THRESHOLD} are needed",
    )
    scene.assert_exact(scene.finish(), missing={VICTIM})
