"""Choosing a graph's degree k and threshold t, with a certificate of what was proved.

Clients stand on a ring in a random order, each with the k/2 nearest on either side as neighbours (Harary
graph; Bell et al. 2020, section 3). Of n clients A = ceil(corrupt * n) are corrupt and D = ceil(dropout * n)
vanish. Each condition bounds the probability, over the order, of one thing that may go wrong:

* *connected* (HONEST_BUT_CURIOUS): corrupt and vanished clients do not cut the ring (ibid., lemma 3.7).
* *uncuttable* (ACTIVE): the server chooses who "vanishes". It cuts off an arc if it finds two disjoint runs of
  h = k/2 clients with w = t - h corrupt ones in each: they sign for both sides, and every quorum holds.
* *private*: nobody's neighbourhood has as many corrupt members as open it: t, or 2t - k in the ACTIVE model.
* *alive*: nobody's neighbourhood loses so many that fewer than t are left.

Probabilities are natural logarithms until they are shown. Sessions do not use these graphs yet, and the lemma
behind *uncuttable* still has to be written out in docs/protocol.md.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from secagg.errors import InvalidParameterError
from secagg.hypergeometric import Hypergeometric
from secagg.params import MAX_COHORT_SIZE, AdversaryModel, check_integer, default_threshold

DEFAULT_GRINDING_BITS: Final = 64
"""A server can try rosters until the graph suits it; so many tries are taken off the security (ACTIVE, sparse)."""

SMALL_COHORT: Final = 32
"""Up to here the complete graph costs little, and its conditions hold for certain."""

_LN2: Final = math.log(2)
_EXACT_WINDOW: Final = 256
"""The longest window for which the joint distribution of two is summed; beyond, it hardly differs and costs seconds."""

_SLACK: Final = 6
"""How far the room between the two bounds on t may fall back as k grows: both bounds are whole numbers."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One condition: log2 of the probability that it fails, and of what is allowed."""

    name: str
    log2_probability: float
    log2_allowed: float
    sentence: str

    @property
    def holds(self) -> bool:
        """Whether the probability is within what is allowed."""
        return self.log2_probability <= self.log2_allowed


@dataclass(frozen=True, slots=True)
class Certificate:
    """What holds for n clients with k neighbours each and threshold t, and under which assumptions."""

    clients: int
    neighbours: int
    threshold: int
    adversary: AdversaryModel
    corrupt_clients: int
    dropped_clients: int
    security_bits: int
    correctness_bits: int
    rounds: int
    grinding_bits: int
    bounds: tuple[Bound, ...]

    @property
    def complete(self) -> bool:
        """Whether the graph is the complete one."""
        return self.neighbours == self.clients - 1

    @property
    def holds(self) -> bool:
        """Whether every condition holds."""
        return all(bound.holds for bound in self.bounds)


@dataclass(frozen=True, slots=True)
class _Setting:
    """The assumptions, checked, with the failure probabilities that they allow."""

    clients: int
    corrupt: int
    dropped: int
    adversary: AdversaryModel
    security_bits: int
    correctness_bits: int
    rounds: int
    grinding_bits: int

    @property
    def active(self) -> bool:
        return self.adversary is AdversaryModel.ACTIVE

    def log_allowed(self, neighbours: int) -> tuple[float, float]:
        """Returns the logs allowed to each of the two security conditions, and to correctness."""
        grinding = self.grinding_bits if neighbours < self.clients - 1 else 0
        # A union bound over rounds, and half of the security for each of its two conditions.
        secure = -(self.security_bits + 1 + grinding) * _LN2 - math.log(self.rounds)
        return secure, -self.correctness_bits * _LN2 - math.log(self.rounds)

    def thresholds(self, neighbours: int) -> tuple[int, int]:
        """Returns the smallest t that is *private* and the largest that is *alive*; there may be none between."""
        n, k = self.clients, neighbours
        if k == n - 1:
            # Every peer is a neighbour: the numbers are certain.
            return (k + self.corrupt) // 2 + 1 if self.active else self.corrupt + 1, k - self.dropped
        secure, correct = self.log_allowed(k)
        most_corrupt = Hypergeometric.of(n, self.corrupt, k).smallest_exceeded(secure - math.log(n))
        lowest = (most_corrupt + k) // 2 + 1 if self.active else most_corrupt + 1
        highest = Hypergeometric.of(n, n - self.dropped, k).largest_reached(correct - math.log(n))
        return lowest, min(highest, k)

    def log_cut(self, neighbours: int, threshold: int) -> float:
        """Returns the log of the bound of *connected* or *uncuttable*."""
        n, k = self.clients, neighbours
        if k == n - 1:
            return -math.inf
        if not self.active:
            gone = self.corrupt + self.dropped
            if k > gone:
                return -math.inf
            return (
                math.log(n * (n - k - 1) / 2)
                + math.lgamma(gone + 1)
                + math.lgamma(n - k + 1)
                - math.lgamma(n + 1)
                - math.lgamma(gone - k + 1)
            )
        half = k // 2
        needed = threshold - half
        if 2 * needed > self.corrupt:
            return -math.inf
        pairs = 2 * math.log(n) - _LN2
        if needed <= 0:
            return pairs
        first = Hypergeometric.of(n, self.corrupt, half)
        if half > _EXACT_WINDOW:
            # Counts in disjoint windows are negatively associated: the product of their tails is an upper bound.
            return pairs + 2 * first.log_at_least(needed)
        terms = [first.log_rest]
        for place in range(max(needed - first.low, 0), len(first.log_pmf)):
            left = self.corrupt - (first.low + place)
            if left < needed:
                break
            # Given what the first window holds, the second one is drawn from the rest.
            terms.append(first.log_pmf[place] + Hypergeometric.of(n - half, left, half).log_at_least(needed))
        return pairs + float(np.logaddexp.reduce(terms))

    def smallest_threshold(self, neighbours: int) -> int | None:
        """Returns the smallest t for which everything holds with k neighbours, or None."""
        lowest, highest = self.thresholds(neighbours)
        if neighbours == self.clients - 1:
            usual = default_threshold(self.clients)
            return min(max(usual, lowest), highest) if lowest <= highest else None
        secure, _ = self.log_allowed(neighbours)
        if lowest > highest or self.log_cut(neighbours, highest) > secure:
            return None
        # A larger t leaves fewer cuts, so the smallest one is found by bisection.
        while lowest < highest:
            middle = (lowest + highest) // 2
            if self.log_cut(neighbours, middle) <= secure:
                highest = middle
            else:
                lowest = middle + 1
        return lowest

    def certificate(self, neighbours: int, threshold: int) -> Certificate:
        """Returns every bound for one choice, whether it holds or not."""
        n, k, t = self.clients, neighbours, threshold
        secure, correct = self.log_allowed(k)
        opening = 2 * t - k if self.active else t
        if k == n - 1:
            exposed = 0.0 if self.corrupt >= opening else -math.inf
            stuck = 0.0 if k - self.dropped < t else -math.inf
        else:
            exposed = math.log(n) + Hypergeometric.of(n, self.corrupt, k).log_at_least(opening)
            stuck = math.log(n) + Hypergeometric.of(n, n - self.dropped, k).log_below(t)
        cut_name, cut = ("uncuttable", "no server that declares clients dropped cuts an arc off and still gets quorums")
        if not self.active:
            cut_name, cut = "connected", "the clients that stay and are honest form one component"
        kinds = "2t - k" if self.active else "t"
        return Certificate(
            clients=n,
            neighbours=k,
            threshold=t,
            adversary=self.adversary,
            corrupt_clients=self.corrupt,
            dropped_clients=self.dropped,
            security_bits=self.security_bits,
            correctness_bits=self.correctness_bits,
            rounds=self.rounds,
            grinding_bits=self.grinding_bits if k < n - 1 else 0,
            bounds=(
                Bound(cut_name, _log2(self.log_cut(k, t)), _log2(secure), f"With {self.corrupt} corrupt, {cut}."),
                Bound(
                    "private",
                    _log2(exposed),
                    _log2(secure),
                    f"No neighbourhood holds {kinds} = {opening} corrupt clients, which could open its owner.",
                ),
                Bound(
                    "alive",
                    _log2(stuck),
                    _log2(correct),
                    f"With {self.dropped} vanished, every neighbourhood keeps the {t} members that recovery needs.",
                ),
            ),
        )


def choose(
    clients: int,
    corrupt: float,
    dropout: float,
    adversary: AdversaryModel,
    *,
    security_bits: int = 40,
    correctness_bits: int = 30,
    rounds: int = 1,
    grinding_bits: int | None = None,
) -> Certificate:
    """Chooses the smallest even k for which some t meets all conditions, and then the smallest t.

    The complete graph is chosen for small cohorts and where no smaller k does.

    Args:
        clients: n, 3 to 2**20.
        corrupt: the part of them that may collude with the server, 0 to below 1.
        dropout: the part that may vanish, corrupt ones aside, 0 to below 1.
        adversary: the model.
        security_bits: log2 of one over the probability that privacy fails.
        correctness_bits: log2 of one over the probability that recovery fails.
        rounds: how many rounds with one population the two cover together.
        grinding_bits: log2 of the rosters that a lying server can try; by default 64 in the ACTIVE model, else 0.

    Returns:
        The certificate of the choice; it holds.

    Raises:
        InvalidParameterError: a number is out of range, or nothing is feasible: the text says what would be.

    Cost:
        Below 0.1 s at n = 10**6 while k stays in the hundreds; to a minute where corrupt and dropout near what is
        feasible, and k the tens of thousands. The room for t does not grow steadily with k, so the search begins
        well below the first k with room and looks at every even k from there.
    """
    setting = _setting(clients, corrupt, dropout, adversary, security_bits, correctness_bits, rounds, grinding_bits)
    if clients > SMALL_COHORT:
        last = (clients - 2) // 2 * 2
        for k in range(_first_candidate(setting, last), last + 1, 2):
            threshold = setting.smallest_threshold(k)
            if threshold is not None:
                return setting.certificate(k, threshold)
    threshold = setting.smallest_threshold(clients - 1)
    if threshold is None:
        raise _infeasible(setting, corrupt, dropout)
    return setting.certificate(clients - 1, threshold)


def certify(
    clients: int,
    neighbours: int,
    threshold: int,
    corrupt: float,
    dropout: float,
    adversary: AdversaryModel,
    *,
    security_bits: int = 40,
    correctness_bits: int = 30,
    rounds: int = 1,
    grinding_bits: int | None = None,
) -> Certificate:
    """Returns the certificate for a k and t that somebody else chose; ask `holds` before relying on it.

    Args:
        clients: n.
        neighbours: k, even and below n - 1, or exactly n - 1.
        threshold: t, 1 to k.
        corrupt: as in `choose`, like all that follow.
        dropout: the part that may vanish.
        adversary: the model.
        security_bits: for privacy.
        correctness_bits: for recovery.
        rounds: covered together.
        grinding_bits: rosters that a lying server can try.

    Raises:
        InvalidParameterError: a number is out of range.
    """
    setting = _setting(clients, corrupt, dropout, adversary, security_bits, correctness_bits, rounds, grinding_bits)
    check_integer("neighbours", neighbours, 2, clients - 1)
    if neighbours % 2 and neighbours != clients - 1:
        raise InvalidParameterError("neighbours", neighbours, "even, or exactly clients - 1")
    check_integer("threshold", threshold, 1, neighbours)
    return setting.certificate(neighbours, threshold)


def _setting(
    clients: int,
    corrupt: float,
    dropout: float,
    adversary: AdversaryModel,
    security_bits: int,
    correctness_bits: int,
    rounds: int,
    grinding_bits: int | None,
) -> _Setting:
    check_integer("clients", clients, 3, MAX_COHORT_SIZE)
    for name, part in (("corrupt", corrupt), ("dropout", dropout)):
        if isinstance(part, bool) or not isinstance(part, int | float) or not 0 <= part < 1:
            raise InvalidParameterError(name, part, "a number, at least 0 and below 1")
    if not isinstance(adversary, AdversaryModel):
        raise InvalidParameterError("adversary", adversary, "an AdversaryModel")
    if grinding_bits is None:
        grinding_bits = DEFAULT_GRINDING_BITS if adversary is AdversaryModel.ACTIVE else 0
    check_integer("security_bits", security_bits, 1, 256)
    check_integer("correctness_bits", correctness_bits, 1, 256)
    check_integer("rounds", rounds, 1, 2**62)
    check_integer("grinding_bits", grinding_bits, 0, 256)
    # The decimals that the user wrote: 0.1 of 30 is 3.
    corrupt_clients, dropped = (_round_up(Fraction(str(part)) * clients) for part in (corrupt, dropout))
    return _Setting(
        clients, corrupt_clients, dropped, adversary, security_bits, correctness_bits, rounds, grinding_bits
    )


def _round_up(count: Fraction) -> int:
    return math.ceil(count)


def _room(setting: _Setting, neighbours: int) -> int:
    lowest, highest = setting.thresholds(neighbours)
    return highest - lowest


def _first_candidate(setting: _Setting, last: int) -> int:
    """Returns an even k below which there is no room for any t, by bisection with `_SLACK` to spare."""
    below, above = 0, last
    while above - below > 2:
        middle = (below + above) // 4 * 2
        if _room(setting, middle) < -_SLACK:
            below = middle
        else:
            above = middle
    # Small k can have more room than their successors by chance of rounding: they are cheap to look at.
    return 2 if above <= 512 else above


def _infeasible(setting: _Setting, corrupt: float, dropout: float) -> InvalidParameterError:
    peers = setting.clients - 1
    per_client = 2 if setting.active else 1
    # Complete graph: a t lies between the two bounds as long as lowest <= highest.
    allowed_dropped = peers - ((peers + setting.corrupt) // 2 + 1 if setting.active else setting.corrupt + 1)
    allowed_corrupt = 2 * (peers - setting.dropped) - peers - 1 if setting.active else peers - setting.dropped - 1
    hints = []
    if allowed_dropped >= 0:
        hints.append(f"dropout at most {allowed_dropped / setting.clients:.3f} with this corrupt part")
    if allowed_corrupt >= 0:
        hints.append(f"corrupt at most {allowed_corrupt / setting.clients:.3f} with this dropout")
    condition = f"corrupt + {per_client} x dropout below 1" if not hints else ", or ".join(hints)
    return InvalidParameterError("corrupt, dropout", (corrupt, dropout), condition)


def _log2(log: float) -> float:
    return min(0.0, log / _LN2)
