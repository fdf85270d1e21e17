"""The certificate of a graph's degree and threshold: what was proved, under which assumptions, in words and numbers."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from secagg.checks import check_integer
from secagg.errors import InvalidParameterError
from secagg.graph.conditions import LN2, Setting
from secagg.graph.sentences import in_words
from secagg.params import AdversaryModel, SessionParams
from secagg.primitives.prg import Suite

_CACHED: Final = 1024
"""Certificates kept: those of some rosters of some sessions. One is a kilobyte."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One condition on a graph.

    Args:
        name: the condition, as in `secagg.graph.conditions`.
        log2_probability: log2 of the probability that it fails, never too small.
        log2_allowed: log2 of what is allowed.
        setting: what is assumed.
        neighbours: k.
        threshold: t.
    """

    name: str
    log2_probability: float
    log2_allowed: float
    setting: Setting = field(repr=False)
    neighbours: int = field(repr=False)
    threshold: int = field(repr=False)

    @property
    def sentence(self) -> str:
        """What it means that the condition holds."""
        return in_words(self.name, self.setting, neighbours=self.neighbours, threshold=self.threshold)

    @property
    def holds(self) -> bool:
        """Whether the probability is within what is allowed."""
        return self.log2_probability <= self.log2_allowed


@dataclass(frozen=True, slots=True)
class Certificate:
    """What holds for n invited clients with k neighbours each and threshold t, and under which assumptions.

    Args:
        clients: n, all that are invited.
        roster: how many advertised keys. It speaks for all rosters from this one to that of all clients, but one that
            was certified for a given roster speaks for that alone.
        neighbours: k. In a roster of k or fewer, everyone else is a neighbour.
        threshold: t.
        adversary: the model.
        corrupt_clients: A.
        dropped_clients: D, of the largest roster for which it speaks.
        security_bits: log2 of one over the probability that privacy fails.
        correctness_bits: log2 of one over the probability that recovery fails.
        rounds: how many rounds with one population the two cover together.
        grinding_bits: log2 of the rosters that a lying server may try; 0 where the graph is complete.
        min_survivors: the fewest clients in a released sum for which what was proved holds, whichever the roster.
            ACTIVE: enough that no two survivor sets can both be signed. HONEST_BUT_CURIOUS: enough that the graph is
            still *connected*. In any case t + 1.
        bounds: one for each condition, in the roster in which it is least certain.
    """

    clients: int
    roster: int
    neighbours: int
    threshold: int
    adversary: AdversaryModel
    corrupt_clients: int
    dropped_clients: int
    security_bits: int
    correctness_bits: int
    rounds: int
    grinding_bits: int
    min_survivors: int
    bounds: tuple[Bound, ...]

    @property
    def complete(self) -> bool:
        """Whether everyone is everyone's neighbour, at least in the smallest roster."""
        return self.neighbours >= self.roster - 1

    @property
    def holds(self) -> bool:
        """Whether every condition holds."""
        return all(bound.holds for bound in self.bounds)

    def session_params(
        self,
        *,
        vector_length: int,
        modulus_bits: int,
        suite: Suite = Suite.AES_128_CTR,
        min_survivors: int = 0,
        round_number: int = 0,
        application: bytes = b"",
    ) -> SessionParams:
        """Returns the parameters of a session with this graph, threshold and minimum of survivors.

        Args:
            vector_length: as in `SessionParams`, like all that follow.
            modulus_bits: the sums' modulus is two to this power.
            suite: the mask generator.
            min_survivors: raised to what this certificate needs, and to A + 3, which clients of the same assumptions
                insist on.
            round_number: the training round.
            application: what else both sides agree on.

        Raises:
            InvalidParameterError: a condition does not hold, or a number is out of range.
        """
        min_survivors = check_integer("min_survivors", min_survivors, low=0, high=self.clients)
        for bound in self.bounds:
            if not bound.holds:
                offered = f"fails with at most 2^{bound.log2_probability:.1f}"
                raise InvalidParameterError(bound.name, offered, f"at most 2^{bound.log2_allowed:.1f}")
        return SessionParams(
            cohort_size=self.clients,
            neighbours=self.neighbours,
            threshold=self.threshold,
            vector_length=vector_length,
            modulus_bits=modulus_bits,
            adversary=self.adversary,
            suite=suite,
            min_survivors=max(min_survivors, self.min_survivors, min(self.corrupt_clients + 3, self.clients)),
            round_number=round_number,
            application=application,
        )


# Many simulated clients of one process ask for the same certificate.
@lru_cache(maxsize=_CACHED)
def certificate_of(setting: Setting, *, clients: int, neighbours: int, threshold: int) -> Certificate:
    """Returns every bound for one choice, whether it holds or not."""
    secure, correct = setting.log_secure(neighbours) / LN2, setting.log_correct / LN2
    exposed, stuck = (
        setting.log_exposed(neighbours, threshold=threshold),
        setting.log_stuck(neighbours, threshold=threshold),
    )
    cut, cut_name = setting.log_cut(neighbours, threshold=threshold), "uncuttable" if setting.active else "connected"
    return Certificate(
        clients=clients,
        roster=setting.smallest,
        neighbours=neighbours,
        threshold=threshold,
        adversary=setting.adversary,
        corrupt_clients=setting.corrupt,
        dropped_clients=setting.dropped,
        security_bits=setting.security_bits,
        correctness_bits=setting.correctness_bits,
        rounds=setting.rounds,
        grinding_bits=0 if setting.complete(neighbours) else setting.grinding_bits,
        min_survivors=setting.fewest_survivors(neighbours, threshold=threshold),
        bounds=(
            Bound(cut_name, cut / LN2, secure, setting, neighbours, threshold),
            Bound("private", exposed / LN2, secure, setting, neighbours, threshold),
            Bound("alive", stuck / LN2, correct, setting, neighbours, threshold),
        ),
    )
