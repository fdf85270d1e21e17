"""The certificate of a graph's degree and threshold: what was proved, under which assumptions, in words and numbers."""

from dataclasses import dataclass

from secagg.errors import InvalidParameterError
from secagg.graph.conditions import LN2, Setting
from secagg.params import AdversaryModel, SessionParams
from secagg.primitives.prg import Suite


@dataclass(frozen=True, slots=True)
class Bound:
    """One condition: log2 of the probability that it fails, never too small, and of what is allowed."""

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
            ACTIVE: so many that no two survivor sets can both be signed by enough. HONEST_BUT_CURIOUS: so many that the
            graph is still *connected*. In any case t + 1.
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


def certificate_of(setting: Setting, clients: int, neighbours: int, threshold: int) -> Certificate:
    """Returns every bound for one choice, whether it holds or not."""
    secure, correct = setting.log_secure(neighbours) / LN2, setting.log_correct / LN2
    exposed, stuck = setting.log_exposed(neighbours, threshold), setting.log_stuck(neighbours, threshold)
    cut_name = "uncuttable" if setting.active else "connected"
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
        min_survivors=setting.fewest_survivors(neighbours, threshold),
        bounds=(
            Bound(
                cut_name,
                setting.log_cut(neighbours, threshold) / LN2,
                secure,
                _uncut_in_words(setting, neighbours, threshold),
            ),
            Bound("private", exposed / LN2, secure, _private_in_words(setting, neighbours, threshold)),
            Bound("alive", stuck / LN2, correct, _alive_in_words(setting, neighbours, threshold)),
        ),
    )


def _uncut_in_words(setting: Setting, neighbours: int, threshold: int) -> str:
    n, half = setting.densest(neighbours), neighbours // 2
    if setting.complete(neighbours):
        return f"All {setting.largest} clients are each other's neighbours, so nobody can be cut off."
    if not setting.active:
        return (
            f"With {setting.corrupt} corrupt and {setting.dropped} vanished of {setting.largest}, the honest clients "
            "that stay form one component."
        )
    return (
        f"With {setting.corrupt} corrupt of {n}, no two disjoint runs of {half} clients hold {threshold - half} of "
        "them each, with which a server that declares clients dropped could cut an arc off."
    )


def _private_in_words(setting: Setting, neighbours: int, threshold: int) -> str:
    n = setting.densest(neighbours)
    opening, kinds = setting.opening(neighbours, threshold), "2t - k" if setting.active else "t"
    return (
        f"With {setting.corrupt} corrupt of {n}, no client has {kinds} = {opening} of them as neighbours, who could "
        "open its secrets."
    )


def _alive_in_words(setting: Setting, neighbours: int, threshold: int) -> str:
    fewest = setting.fewest_survivors(neighbours, threshold)
    return (
        f"With {setting.dropped} vanished of {setting.largest}, every neighbourhood keeps the {threshold} members that "
        f"recovery needs, and at least {fewest} clients stay in all."
    )
