"""A history of Opacus is one composition, and goes on a ledger as such."""

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from dp.accounting.accountant import RdpAccountant
from dp.accounting.opacus_history import from_opacus
from dp.errors import InvalidParameterError
from dp.events import (
    Composed,
    Gaussian,
    PoissonSampled,
)
from dp.ledger.writer import Ledger
from dp.vocabulary import Relation, SampleKnownTo, Unit
from tests.kit.ledger_scene import HEADER

CENTRAL = replace(HEADER, relation=Relation.ADD_REMOVE, unit=Unit.EXAMPLE)


def test_a_history_of_opacus_is_one_composition():
    history = [(1.0, 0.01, 500), (1.5, 0.01, 300), (1.0, 0.01, 20), (2.0, 1.0, 1), (3.0, 0.5, 0)]
    assert from_opacus(history) == Composed(
        (
            (PoissonSampled(0.01, Gaussian(1.0)), 520),
            (PoissonSampled(0.01, Gaussian(1.5)), 300),
            (PoissonSampled(1.0, Gaussian(2.0)), 1),
        )
    )
    assert from_opacus(history, Unit.CLIENT).unit is Unit.CLIENT
    assert from_opacus([(0.0, 0.1, 1)]).events[0][0].relation is Relation.ADD_REMOVE


def test_a_history_of_opacus_goes_on_a_ledger(tmp_path: Path):
    history = from_opacus([(1.0, 0.01, 1000), (1.2, 0.01, 500)])
    with Ledger.create(tmp_path / "ledger", replace(CENTRAL, delta=Fraction(1, 10**5))) as ledger:
        ledger.record_past(history, known_to=SampleKnownTo.NOBODY)
        assert ledger.spent == pytest.approx(RdpAccountant().compose(history).epsilon(1e-5).value, rel=1e-9)


@pytest.mark.parametrize(
    ("history", "name"),
    [
        ([], "history"),
        ([(1.0, 0.1, 0)], "history"),
        ([(1.0, 0.1)], r"history\[0\]"),
        ([(1.0, 0.1, 1), 3], r"history\[1\]"),
        ([(-1.0, 0.1, 1)], r"history\[0\]\.noise_multiplier"),
        ([(math.nan, 0.1, 1)], r"history\[0\]\.noise_multiplier"),
        ([(1.0, 1.1, 1)], r"history\[0\]\.sample_rate"),
        ([(1.0, 0.1, 1.0)], r"history\[0\]\.steps"),
        ([(1.0, 0.1, -1)], r"history\[0\]\.steps"),
    ],
)
def test_what_is_no_history_is_refused_by_its_place(history: Any, name: str):
    with pytest.raises(InvalidParameterError, match=name):
        from_opacus(history)
