"""The conditions on a graph's degree k and threshold t, each a bound on the probability that something goes wrong.

Clients stand on a ring in a random order, each with the k/2 nearest on either side as neighbours (Harary graph; Bell
et al. 2020, section 3). A of them are corrupt and D vanish. Over the order:

* *connected* (HONEST_BUT_CURIOUS): corrupt and vanished clients do not cut the ring (ibid., lemma 3.7).
* *uncuttable* (ACTIVE): the server chooses who "vanishes". It cuts off an arc if it finds two disjoint runs of
  h = k/2 clients with w = t - h corrupt ones in each: they sign for both sides, and every quorum holds.
* *private*: nobody's neighbourhood has as many corrupt members as open it: t, or 2t - k in the ACTIVE model.
* *alive*: nobody's neighbourhood is left with fewer than t.

Everything here is in counts and natural logarithms; fractions and powers of two stay outside.

Some of those invited may never come, so a choice has to hold for a range of rosters. Two of them decide for all:

* A client that never comes was counted as vanished, so a roster smaller by one has as many clients online, and one
  fewer gone. Those online are denser in it and its neighbourhoods fewer: *alive* and *connected* are least certain in
  the largest roster.
* Corrupt clients all come, and are denser in a smaller roster. Its neighbourhoods are fewer too, but with x corrupt
  ones required, n P[X >= x] still grows as n shrinks, term by term, where x >= 1 + (A - 1)(k - 1)/(n - 1). That many
  are expected in a neighbourhood that one of them is in; with a smaller x half of those are bad, and the bound is A/2
  or more. The same goes for two runs: *private* and *uncuttable* are least certain in the smallest roster.
* Where everyone is everyone's neighbour, a smaller roster only has smaller neighbourhoods, in which t is more. The
  largest complete roster decides, k + 1; and what no A corrupt clients can do in it, they cannot in a larger one.
"""

import math
from dataclasses import dataclass
from typing import Final

from secagg.graph.hypergeometric import ROUNDING, Hypergeometric, log_choose
from secagg.graph.windows import log_two_windows
from secagg.params import AdversaryModel, default_threshold

LN2: Final = math.log(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Who is there, who is corrupt, who vanishes, and what may fail how often.

    Args:
        smallest: clients in the smallest roster.
        largest: clients in the largest roster.
        corrupt: A, in any of them; no more than in the smallest roster.
        dropped: D, of the largest roster.
        adversary: the model.
        security_bits: log2 of one over the probability that privacy fails.
        correctness_bits: log2 of one over the probability that recovery fails.
        rounds: how many rounds the two cover together.
        grinding_bits: log2 of the rosters that a server may try, in a sparse graph.
    """

    smallest: int
    largest: int
    corrupt: int
    dropped: int
    adversary: AdversaryModel
    security_bits: int
    correctness_bits: int
    rounds: int
    grinding_bits: int

    @property
    def active(self) -> bool:
        """Whether the server may lie."""
        return self.adversary is AdversaryModel.ACTIVE

    def complete(self, neighbours: int) -> bool:
        """Whether everyone is everyone's neighbour, in the largest roster and so in all of them."""
        return neighbours >= self.largest - 1

    def densest(self, neighbours: int) -> int:
        """Returns the roster in which *private* and *uncuttable* are least certain."""
        return max(self.smallest, min(neighbours + 1, self.largest))

    def log_secure(self, neighbours: int) -> float:
        """Returns the log of what is allowed to each of the two conditions of security."""
        grinding = 0 if self.complete(neighbours) else self.grinding_bits
        # A union bound over rounds, and half of the security for each of its two conditions.
        return -(self.security_bits + 1 + grinding) * LN2 - math.log(self.rounds)

    @property
    def log_correct(self) -> float:
        """The log of what is allowed to *alive*."""
        return -self.correctness_bits * LN2 - math.log(self.rounds)

    def log_connected(self, neighbours: int, *, dropped: int) -> float:
        """Returns the bound of *connected* where `dropped` of the largest roster vanish."""
        n, k, gone = self.largest, neighbours, self.corrupt + dropped
        if self.complete(k) or k > gone:
            return -math.inf
        if gone >= n:
            return 0.0
        pairs = math.log(n * (n - k - 1) / 2)
        return min(0.0, pairs + log_choose(gone, chosen=k) - log_choose(n, chosen=k) + ROUNDING)

    def log_uncuttable(self, neighbours: int, *, threshold: int) -> float:
        """Returns the bound of *uncuttable*."""
        n = self.densest(neighbours)
        half = neighbours // 2
        # In a complete roster 2t - k > A leaves nothing to cut, and less is not *private*.
        if neighbours >= n - 1:
            return -math.inf
        pairs = 2 * math.log(n) - LN2
        return min(0.0, pairs + log_two_windows(n, marked=self.corrupt, window=half, needed=threshold - half))

    def log_cut(self, neighbours: int, *, threshold: int) -> float:
        """Returns the bound of *connected* or *uncuttable*, whichever the model asks for."""
        if self.active:
            return self.log_uncuttable(neighbours, threshold=threshold)
        return self.log_connected(neighbours, dropped=self.dropped)

    def opening(self, neighbours: int, *, threshold: int) -> int:
        """Returns how many corrupt neighbours open a client."""
        degree = min(neighbours, self.densest(neighbours) - 1)
        # ACTIVE: honest neighbours give either kind of share, corrupt ones both: h + 2c >= 2t with h + c = k.
        return 2 * threshold - degree if self.active else threshold

    def log_exposed(self, neighbours: int, *, threshold: int) -> float:
        """Returns the bound of *private*."""
        n = self.densest(neighbours)
        opening = self.opening(neighbours, threshold=threshold)
        if neighbours >= n - 1:
            # Every peer is a neighbour: certain.
            return 0.0 if self.corrupt >= opening else -math.inf
        return min(0.0, math.log(n) + Hypergeometric(n, self.corrupt, neighbours).log_tail(opening))

    def log_stuck(self, neighbours: int, *, threshold: int) -> float:
        """Returns the bound of *alive*."""
        n, degree = self.largest, min(neighbours, self.largest - 1)
        if n - self.dropped < self.fewest_survivors(neighbours, threshold=threshold):
            return 0.0
        if degree == n - 1:
            return 0.0 if degree - self.dropped < threshold else -math.inf
        return min(0.0, math.log(n) + Hypergeometric(n, self.dropped, degree).log_tail(degree - threshold + 1))

    def fewest_survivors(self, neighbours: int, *, threshold: int) -> int:
        """Returns the fewest clients in a sum for which the security conditions hold, in any of the rosters."""
        # A survivor's own shares lie with its peers, of whom t answer.
        alone = threshold + 1
        if self.active:
            # More than half of the honest and all of the corrupt: two survivor sets cannot both be signed by that many.
            return max(alone, (self.largest + self.corrupt) // 2 + 1)
        return alone if self.complete(neighbours) else max(alone, self.largest - self._most_vanished(neighbours))

    def _most_vanished(self, neighbours: int) -> int:
        """Returns how many may vanish with the graph still *connected*, or 0 if none may."""
        allowed = self.log_secure(neighbours)
        low, high = 0, self.largest - self.corrupt + 1
        while high - low > 1:
            middle = (low + high) // 2
            if self.log_connected(neighbours, dropped=middle) <= allowed:
                low = middle
            else:
                high = middle
        return low

    def secure(self, neighbours: int, *, threshold: int) -> bool:
        """Whether both conditions of security hold; a larger threshold never breaks them."""
        allowed = self.log_secure(neighbours)
        return (
            self.log_exposed(neighbours, threshold=threshold) <= allowed
            and self.log_cut(neighbours, threshold=threshold) <= allowed
        )

    def alive(self, neighbours: int, *, threshold: int) -> bool:
        """Whether *alive* holds; a smaller threshold never breaks it."""
        return self.log_stuck(neighbours, threshold=threshold) <= self.log_correct

    def smallest_threshold(self, neighbours: int, *, highest: int) -> int | None:
        """Returns the smallest t up to `highest` for which everything holds, or None.

        In the complete graph it is the usual one, or the closest to it that holds, and more than half of the peers.
        """
        floor = neighbours // 2 + 1 if self.complete(neighbours) else 1
        if highest < floor or not self.secure(neighbours, threshold=highest):
            return None
        low, high = floor - 1, highest
        while high - low > 1:
            middle = (low + high) // 2
            if self.secure(neighbours, threshold=middle):
                high = middle
            else:
                low = middle
        if self.complete(neighbours):
            high = max(high, min(default_threshold(self.largest), highest))
        return high if self.alive(neighbours, threshold=high) else None
