"""fl.app.axis: ticks at round numbers, and every value on the axis."""

import pytest

from fl.app.axis import Axis, tick_text


@pytest.mark.parametrize(
    ("low", "high", "logarithmic", "ticks"),
    [
        (0, 1, False, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 8.5, False, [0, 2, 4, 6, 8]),
        (1, 20, False, [5, 10, 15, 20]),
        (1e-3, 20, True, [1e-3, 1e-2, 0.1, 1, 10]),
        (1e-11, 1, True, [1e-11, 1e-9, 1e-7, 1e-5, 1e-3, 0.1]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, logarithmic: bool, ticks: list[float]) -> None:
    assert Axis(low, high, 0, 100, logarithmic).ticks() == pytest.approx(ticks)


def test_an_axis_keeps_what_is_beyond_it_at_its_ends() -> None:
    axis = Axis(0, 10, 100, 0)
    assert [axis.at(value) for value in (-1, 0, 2.5, 10, 11)] == [100, 100, 75, 0, 0]
    assert Axis(1, 100, 0, 10, logarithmic=True).at(10) == pytest.approx(5)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (0.5, "0.5"), (1e-3, "10⁻³"), (100.0, "100"), (1e6, "10⁶"), (2e-7, "2e-07")]
)
def test_powers_of_ten_far_from_1_are_written_as_such(value: float, shown: str) -> None:
    assert tick_text(value) == shown
