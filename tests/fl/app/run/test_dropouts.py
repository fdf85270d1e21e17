"""Who vanishes in a simulated round: as many as asked, at every stage of the session."""

import pytest

from fl.app.run.dropouts import asked_clients, draw_dropouts
from secagg import AdversaryModel, Stage


def test_clients_vanish_as_often_as_asked_at_every_stage():
    stages = AdversaryModel.ACTIVE.stages
    drawn = [draw_dropouts(range(1000), 0.2, stages) for _ in range(10)]
    counts = [sum(len(gone[stage]) for gone in drawn) for stage in Stage]
    # 2000 of 10,000, 400 at each of five stages: six standard deviations are 240 and 118, so 1 in 10**8 runs fails.
    assert abs(sum(counts) - 2000) < 240
    assert all(abs(count - 400) < 118 for count in counts)
    curious = AdversaryModel.HONEST_BUT_CURIOUS.stages
    assert not draw_dropouts(range(1000), 0.9, curious)[Stage.CONSISTENCY]
    assert not any(draw_dropouts(range(1000), 0.0, stages).values())


def test_a_client_vanishes_once_at_most():
    gone = draw_dropouts(range(200), 0.9, AdversaryModel.ACTIVE.stages)
    assert sum(map(len, gone.values())) == len(frozenset().union(*gone.values()))


@pytest.mark.parametrize("stage", list(Stage))
def test_a_client_that_is_there_for_the_input_is_asked(stage: Stage):
    gone = {one: frozenset({3}) if one is stage else frozenset() for one in Stage}
    later = stage in {Stage.CONSISTENCY, Stage.UNMASK}
    assert asked_clients((5, 3, 7), gone) == ([5, 3, 7] if later else [5, 7])
