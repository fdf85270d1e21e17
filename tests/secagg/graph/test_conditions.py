"""The conditions one by one: where each is certain, where it cannot hold, and what makes it harder."""

import math
from typing import Any

import pytest

from secagg.graph.conditions import LN2, Setting
from secagg.params import AdversaryModel

ACTIVE, CURIOUS = AdversaryModel.ACTIVE, AdversaryModel.HONEST_BUT_CURIOUS


def setting(adversary: AdversaryModel = CURIOUS, **changes: Any) -> Setting:
    usual: dict[str, Any] = {
        "smallest": 1000,
        "largest": 1000,
        "corrupt": 100,
        "dropped": 100,
        "adversary": adversary,
        "security_bits": 40,
        "correctness_bits": 30,
        "rounds": 1,
        "grinding_bits": 0,
    }
    return Setting(**(usual | changes))


def test_what_is_allowed_is_shared_by_rounds_conditions_and_grinding():
    assert setting().log_secure(60) == -41 * LN2
    assert setting(rounds=8).log_secure(60) == pytest.approx(-44 * LN2)
    assert setting(grinding_bits=20).log_secure(60) == -61 * LN2
    assert setting(grinding_bits=20).log_secure(999) == -41 * LN2, "a complete graph has nothing to grind for"
    assert setting(rounds=8).log_correct == pytest.approx(-33 * LN2)


def test_with_nobody_corrupt_or_gone_everything_is_certain():
    for adversary in AdversaryModel:
        one = setting(adversary, corrupt=0, dropped=0)
        assert (
            one.log_cut(60, threshold=40)
            == one.log_exposed(60, threshold=40)
            == one.log_stuck(60, threshold=40)
            == -math.inf
        )


@pytest.mark.parametrize(("adversary", "opens"), [(CURIOUS, 40), (ACTIVE, 20)])
def test_a_lying_server_opens_a_client_with_fewer_corrupt_neighbours(adversary: AdversaryModel, opens: int):
    assert setting(adversary).opening(60, threshold=40) == opens
    complete = setting(adversary, smallest=61, largest=61, corrupt=opens - 1)
    assert complete.log_exposed(60, threshold=40) == -math.inf
    assert setting(adversary, smallest=61, largest=61, corrupt=opens).log_exposed(60, threshold=40) == 0.0


def test_in_a_complete_graph_all_is_certain_or_impossible():
    one = setting(smallest=61, largest=61, corrupt=6, dropped=20)
    assert one.complete(60)
    assert one.log_connected(60, dropped=20) == one.log_uncuttable(60, threshold=40) == -math.inf
    assert one.log_stuck(60, threshold=40) == -math.inf
    assert one.log_stuck(60, threshold=41) == 0.0


@pytest.mark.parametrize("adversary", AdversaryModel)
def test_more_corrupt_or_vanished_clients_make_nothing_more_certain(adversary: AdversaryModel):
    for less, more in (({"corrupt": 100}, {"corrupt": 200}), ({"dropped": 100}, {"dropped": 200})):
        one, other = setting(adversary, **less), setting(adversary, **more)
        assert one.log_cut(60, threshold=40) <= other.log_cut(60, threshold=40)
        assert one.log_exposed(60, threshold=40) <= other.log_exposed(60, threshold=40)
        assert one.log_stuck(60, threshold=40) <= other.log_stuck(60, threshold=40)


@pytest.mark.parametrize("adversary", AdversaryModel)
def test_a_larger_threshold_is_more_secure_and_less_alive(adversary: AdversaryModel):
    one = setting(adversary)
    for threshold in range(31, 60):
        assert one.log_exposed(60, threshold=threshold + 1) <= one.log_exposed(60, threshold=threshold)
        assert one.log_stuck(60, threshold=threshold + 1) >= one.log_stuck(60, threshold=threshold)
        assert one.secure(60, threshold=threshold + 1) >= one.secure(60, threshold=threshold)
        assert one.alive(60, threshold=threshold + 1) <= one.alive(60, threshold=threshold)


@pytest.mark.parametrize("adversary", AdversaryModel)
def test_the_smallest_threshold_is_the_first_that_holds(adversary: AdversaryModel):
    one = setting(adversary)
    for neighbours in (40, 60, 100, 200, 300):
        holding = [t for t in range(1, neighbours + 1) if one.secure(neighbours, threshold=t)]
        first = holding[0] if holding and one.alive(neighbours, threshold=holding[0]) else None
        assert one.smallest_threshold(neighbours, highest=neighbours) == first


def test_a_sum_needs_a_threshold_of_peers_and_against_a_lying_server_a_majority():
    assert setting(ACTIVE).fewest_survivors(60, threshold=40) == 551
    assert setting(CURIOUS, corrupt=0, dropped=0).fewest_survivors(999, threshold=40) == 41
    sparse = setting(CURIOUS)
    least = sparse.fewest_survivors(60, threshold=40)
    allowed = sparse.log_secure(60)
    assert (
        sparse.log_connected(60, dropped=1000 - least) <= allowed < sparse.log_connected(60, dropped=1000 - least + 1)
    )
