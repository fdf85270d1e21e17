"""The axis of a chart: where a value lies, which values get a tick, and how a tick is written."""

import math
from dataclasses import dataclass

__all__ = ["Axis", "tick_text"]


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis from `low` to `high`, drawn from `first` to `last`."""

    low: float
    high: float
    first: float
    last: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Returns where a value lies; what is beyond an end lies at that end."""
        low, high, here = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, here = math.log(low), math.log(high), math.log(here)
        return self.first + (here - low) / (high - low) * (self.last - self.first)

    def ticks(self) -> list[float]:
        """Returns round values, at most about eight."""
        if self.logarithmic:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            return [10.0**power for power in powers[:: max(1, math.ceil(len(powers) / 7))]]
        step = _step((self.high - self.low) / 6)
        first = math.ceil(self.low / step - 1e-9)
        return [place * step for place in range(first, math.floor(self.high / step + 1e-9) + 1)]


def tick_text(value: float) -> str:
    """Returns a tick's text: powers of ten that are far from 1 as such."""
    power = math.log10(value) if value > 0 else 0.0
    if value > 0 and abs(power - round(power)) < 1e-9 and not -3 < power < 5:
        return "10" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] if digit != "-" else "⁻" for digit in str(round(power)))
    return f"{value:g}"


def _step(rough: float) -> float:
    """Returns 1, 2 or 5 times a power of ten, at least `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough * (1 - 1e-9))
