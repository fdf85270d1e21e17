"""What plain and private rounds have in common: how a round is recorded."""

import time

import pytest

from fl.app.run.journal import RoundRecord
from fl.app.run.rounds import closed, mean_bytes, too_few
from secagg import Stage, TooFewClientsError


def test_a_record_gets_what_is_known_at_the_end_and_how_long_it_took():
    before = RoundRecord(round=2, outcome="too few clients", invited=4, clip=1.0)
    after = closed(before, time.perf_counter() - 1.5, outcome="released", survivors=3)
    assert (after.round, after.outcome, after.survivors, after.invited) == (2, "released", 3, 4)
    assert 1.5 <= after.protocol_s < 30
    assert before.survivors is None


def test_bytes_are_the_mean_of_those_in_the_sum():
    assert mean_bytes({1: 10, 2: 20, 3: 90}, frozenset({1, 2})) == pytest.approx(15)


def test_a_round_with_too_few_clients_is_told_in_words():
    error = TooFewClientsError(Stage.UNMASK, None, needed=3, remaining=2)
    assert too_few(error) == "at unmask: 3 needed, 2 left"
