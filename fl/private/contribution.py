"""What one client hands in to a private round."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fl.arrays.schema import Arrays

__all__ = ["Contribution"]


@dataclass(frozen=True, slots=True, eq=False)
class Contribution:
    """What one client hands in. Its `repr` shows none of it.

    Where the plan protects whole clients it is an update, with its weight and side values. Where the plan protects
    single examples it is `examples` alone.

    Attributes:
        update: its update, arrays as the plan's schema says; None where the plan protects examples.
        weight: its weight, an int from 0 to the plan's `weight_cap`.
        side_values: its side values, by name; None is none.
        examples: the updates of its examples: one container of arrays for each, or float64 of shape
            (examples, schema.size).
    """

    update: Arrays | None = field(default=None, repr=False)
    weight: int = field(default=1, repr=False)
    side_values: Mapping[str, float] | None = field(default=None, repr=False)
    examples: Sequence[Arrays] | npt.NDArray[np.float64] | None = field(default=None, repr=False)
