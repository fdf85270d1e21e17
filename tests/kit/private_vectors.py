"""What tests of private vectors have in common: a context, a wide model, and what was rounded."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import fl.private.vector
from dp.vocabulary import DISTRIBUTED_DISCRETE_GAUSSIAN, SKELLAM
from fl.arrays.schema import ArraySchema
from fl.private.plan import PrivatePlan
from fl.private.private_sum import PrivateSum
from fl.private.vector import PrivateVector
from tests.kit.private_round_scene import (
    sum_of_words,
)

CONTEXT = bytes(range(32))

WIDE = ArraySchema.of([np.zeros((32, 32))])
"""As many entries as coordinates: nothing is padded, and the rotation keeps all of the noise."""

both_mechanisms = pytest.mark.parametrize("mechanism", [SKELLAM, DISTRIBUTED_DISCRETE_GAUSSIAN])


def clipped(vector: npt.NDArray[np.float64], clip: float) -> npt.NDArray[np.float64]:
    """Returns the vector no longer than `clip`, by another route than the package's."""
    return vector * min(1.0, clip / float(np.linalg.norm(vector))) if vector.any() else vector


def released(plan: PrivatePlan, words: list[npt.NDArray[Any]], clip: float | None = None) -> PrivateSum:
    total = sum_of_words(words, plan.noise.modulus_bits)
    return PrivateVector(plan, CONTEXT, plan.clip if clip is None else clip).decode(total, len(words))


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[npt.NDArray[np.int64]]:
    """Returns a list that every rounded vector is put into from now on."""
    rounded: list[npt.NDArray[np.int64]] = []
    genuine = fl.private.vector.round_within

    def recording(*arguments: Any) -> npt.NDArray[np.int64]:
        rounded.append(genuine(*arguments))
        return rounded[-1].copy()

    monkeypatch.setattr(fl.private.vector, "round_within", recording)
    return rounded
