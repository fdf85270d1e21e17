"""Which bound belongs to which kind of event, where it is one formula of the order and the event.

A formula for a further kind of event is one line in `FORMULAS`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dp.events import DiscreteGaussian, DistributedDiscreteGaussian, Event, Skellam
from dp.renyi.distributed import distributed_discrete_gaussian_rdp, ratio, skellam_rdp
from dp.renyi.skellam_numerical import LARGEST_VARIANCE, numerical_skellam_rdp

__all__ = ["FORMULAS", "discrete_gaussian_rdp", "published_skellam_rdp"]

_Array = npt.NDArray[np.float64]


def discrete_gaussian_rdp(orders: _Array, event: DiscreteGaussian) -> _Array:
    """Returns alpha Delta2^2 / 2sigma^2 (Canonne, Kamath, Steinke 2020, Theorem 4: that of the continuous Gaussian)."""
    return orders * ratio(event.squared_sensitivity, 2 * event.variance)


def published_skellam_rdp(orders: _Array, event: Skellam) -> _Array:
    """Returns the published bound, a theorem for integer orders; between them as far as convexity carries it."""
    low = np.floor(orders)
    at_low, at_next = skellam_rdp(np.maximum(low, 2.0), event), skellam_rdp(low + 1, event)
    # Infinity times 0 at an integer is no bound, so integers are taken apart.
    with np.errstate(invalid="ignore"):
        line = (low + 1 - orders) * (low - 1) * at_low + (orders - low) * low * at_next
    return np.where((low > 1) & (orders > low), line / np.where(low > 1, orders - 1, 1), at_low)


def _skellam_rdp(orders: _Array, event: Skellam) -> _Array:
    """Returns the smaller of the published bound and the numerical one, which is for every order."""
    published = published_skellam_rdp(orders, event)
    # The numerical bound stays that of the largest variance it is made for. For far more noise the published one, at
    # most alpha D2^2/2mu (1 + 3/alpha), is smaller.
    if event.variance > 8 * LARGEST_VARIANCE:
        return published
    smaller: _Array = np.minimum(published, numerical_skellam_rdp(orders, event))
    return smaller


FORMULAS: Final[Mapping[type[Event], Callable[[_Array, Any], _Array]]] = {
    DiscreteGaussian: discrete_gaussian_rdp,
    DistributedDiscreteGaussian: distributed_discrete_gaussian_rdp,
    Skellam: _skellam_rdp,
}
"""For each kind of event without a path of its own in `dp.renyi.curve`: orders and event to upper bounds."""
