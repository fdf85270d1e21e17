"""The smallest degree for which some threshold meets every condition.

For degree k, let c(k), l(k) and w(k) be the smallest counts that are exceeded, or reached in both of two runs,
seldom enough: corrupt neighbours, lost neighbours, and corrupt clients in a run of k/2. Then t has to be above c(k),
in the ACTIVE model above (k + c(k)) / 2 and at least k/2 + w(k), and at most k - l(k). There is such a t where

    need(k) <= k,   need = c + l + 1,   or in the ACTIVE model the larger of c + 2l + 1 and 2w + 2l.

The room k - need(k) rises and falls with k, as all three are whole numbers. But a larger draw holds no fewer of
any kind, so need(k) never falls: if need(k) > k, no degree from k to need(k) - 1 has room, and the search leaps over
them. It is exact, and sees few degrees: near a first one with much room, most leaps are long.

The leaps are taken first with lower bounds of the three counts, in constant time each, and where these find room
with the counts themselves, which walk along with k. What they find is checked by the conditions as certified.
"""

import math
from dataclasses import dataclass

from secagg.graph.conditions import LN2, Setting
from secagg.graph.hypergeometric import Hypergeometric, QuantileWalk
from secagg.graph.windows import needed_floor


def smallest_degree(setting: Setting) -> tuple[int, int] | None:
    """Returns the smallest even k below n - 1 for which some t holds, and the smallest such t; or None."""
    search = _Search(setting)
    start = search.leap_by_floors(search.first_connected())
    return None if start > search.last else search.leap_exactly(start)


@dataclass
class _Floors:
    """The lower bounds found for one k; in proportion, good guesses for the next one."""

    degree: int = 1
    lost: int = 0
    corrupt: int = 0
    needed: int = 0

    def grow(self, degree: int) -> None:
        self.lost, self.corrupt, self.needed = (
            count * degree // self.degree for count in (self.lost, self.corrupt, self.needed)
        )
        self.degree = degree


class _Search:
    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.last = (setting.largest - 2) // 2 * 2
        # All degrees in question are sparse, so these are the same for each.
        self.secure = setting.log_secure(2)
        self.log_per_client = self.secure - math.log(setting.smallest)
        self.log_per_pair = self.secure - 2 * math.log(setting.smallest) + LN2
        self.log_stuck = setting.log_correct - math.log(setting.largest)
        self.weight = 2 if setting.active else 1
        self.floors = _Floors()

    def complete_roster(self, neighbours: int) -> bool:
        """Whether the smallest roster is complete: then any corrupt client may be a neighbour."""
        return neighbours >= self.setting.smallest - 1

    def first_connected(self) -> int:
        """Returns the smallest k that is *connected*, in the ACTIVE model 2: a larger degree never disconnects."""
        low, high = 0, self.last + 2
        while high - low > 2:
            middle = (low + high) // 4 * 2
            if self.setting.active or self.setting.log_connected(middle, dropped=self.setting.dropped) <= self.secure:
                high = middle
            else:
                low = middle
        return high

    def leap_by_floors(self, start: int) -> int:
        """Returns a k from which on there may be room, and before which there is none."""
        k = start
        while k <= self.last:
            need = self.need_floor(k)
            if need <= k:
                break
            k = need + need % 2
        return k

    def need_floor(self, neighbours: int) -> int:
        """Returns a lower bound of need(k)."""
        setting, floors, k = self.setting, self.floors, neighbours
        floors.grow(k)
        floors.lost = Hypergeometric(setting.largest, setting.dropped, k).quantile_floor(self.log_stuck, floors.lost)
        if self.complete_roster(k):
            return setting.corrupt + self.weight * floors.lost + 1
        n, corrupt = setting.smallest, setting.corrupt
        if setting.active:
            # In a large cohort w decides, not c; in a small one the exact leaps make up for the difference.
            floors.needed = needed_floor(
                n, marked=corrupt, window=k // 2, log_probability=self.log_per_pair, guess=floors.needed
            )
            return 2 * floors.needed + 2 * floors.lost
        floors.corrupt = Hypergeometric(n, corrupt, k).quantile_floor(self.log_per_client, floors.corrupt)
        return floors.corrupt + floors.lost + 1

    def leap_exactly(self, start: int) -> tuple[int, int] | None:
        """Returns the smallest k from `start` on for which a t holds, and that t; or None."""
        setting, k = self.setting, start
        lost_walk = QuantileWalk(setting.largest, marked=setting.dropped, draws=k, log_probability=self.log_stuck)
        corrupt_walk = None
        if not self.complete_roster(k):
            corrupt_walk = QuantileWalk(
                setting.smallest, marked=setting.corrupt, draws=k, log_probability=self.log_per_client
            )
        needed = 0
        while k <= self.last:
            lost = lost_walk.advance(k)
            if corrupt_walk is None or self.complete_roster(k):
                corrupt, needed = setting.corrupt, 0
            else:
                corrupt = corrupt_walk.advance(k)
            need = max(corrupt + self.weight * lost + 1, 2 * needed + 2 * lost if setting.active else 0)
            if need <= k:
                highest = k - lost
                threshold = setting.smallest_threshold(k, highest=highest)
                if threshold is not None:
                    return k, threshold
                need = k + 2
                if setting.active and setting.log_uncuttable(k, threshold=highest) > self.secure:
                    # Even the largest t leaves cuts: w(k) is larger, and does not shrink as k grows.
                    needed = highest - k // 2 + 1
            k = need + need % 2
        return None
