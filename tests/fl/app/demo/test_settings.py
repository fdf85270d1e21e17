"""What a demo is to run is checked before anything is."""

import math

import pytest

from fl.app.demo.settings import DemoSettings
from secagg.errors import InvalidParameterError
from secagg.params import AdversaryModel


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("clients", 3),
        ("clients", 501),
        ("rounds", 0),
        ("alpha", 0.0),
        ("dropout", 1.0),
        ("epsilon", math.nan),
        ("epsilon", -1.0),
        ("delta", 0.0),
        ("clip", math.inf),
        ("seed", -1),
    ],
)
def test_settings_out_of_range_are_named(name: str, value: float) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        DemoSettings(**{name: value})  # type: ignore[arg-type]
    assert caught.value.parameter == name


def test_without_a_budget_there_is_nothing_private() -> None:
    assert DemoSettings().private
    assert not DemoSettings(epsilon=0).private
    assert DemoSettings(clients=3, adversary=AdversaryModel.HONEST_BUT_CURIOUS).clients == 3
