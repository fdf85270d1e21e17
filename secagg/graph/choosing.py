"""Choosing a graph's degree k and threshold t, and certifying those that somebody else chose.

`secagg.graph.conditions` says what has to hold, `secagg.graph.search` how the smallest degree is found. Here fractions
become counts and arguments are checked, once.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from secagg.checks import check_fraction, check_integer
from secagg.errors import InvalidParameterError
from secagg.graph.certificate import Bound, Certificate, certificate_of
from secagg.graph.cohort_draw import MAX_POPULATION, corrupt_in_cohort
from secagg.graph.conditions import Setting
from secagg.graph.search import smallest_degree
from secagg.params import MAX_COHORT_SIZE, AdversaryModel

__all__ = ["DEFAULT_GRINDING_BITS", "SMALL_COHORT", "Assumptions", "Bound", "Certificate", "certify", "choose"]

_OPTIONAL: Final = frozenset({"grinding_bits", "population", "corrupt_clients"})

DEFAULT_GRINDING_BITS: Final = 64
"""A server can try rosters until the graph suits it; this many tries are taken off the security (ACTIVE, sparse)."""

SMALL_COHORT: Final = 32
"""Up to here the complete graph costs little, and its conditions hold for certain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is assumed of the clients, and how often it may turn out wrong.

    Args:
        corrupt: the part of the invited clients that may collude with the server, 0 to below 1.
        dropout: the part that may vanish, corrupt ones aside, 0 to below 1.
        absent: the part that may vanish before it advertises keys, so that the ring is made of fewer; at most dropout.
        security_bits: log2 of one over the probability that privacy fails.
        correctness_bits: log2 of one over the probability that recovery fails.
        rounds: how many rounds with one population the two cover together.
        grinding_bits: log2 of the rosters that a lying server can try; None is 64 in the ACTIVE model, else 0.
        population: of how many clients `corrupt` is the part; None is those invited. The server chooses whom it
            invites, so that all corrupt clients of the population count in every cohort of it, up to its size.
        corrupt_clients: how many of the population may collude, in place of the part; None is the part.
        drawn_honestly: that the cohort is a random part of the population, which the server does not choose: then as
            many corrupt clients count as it has with probability above 2**-security_bits. It needs `population`.

    Raises:
        InvalidParameterError: a number is out of range.
    """

    corrupt: float = 0.1
    dropout: float
    absent: float = 0.0
    security_bits: int = 40
    correctness_bits: int = 30
    rounds: int = 1
    grinding_bits: int | None = None
    population: int | None = None
    corrupt_clients: int | None = None
    drawn_honestly: bool = False

    def __post_init__(self) -> None:
        for name in ("corrupt", "dropout", "absent"):
            object.__setattr__(self, name, check_fraction(name, getattr(self, name)))
        if self.absent > self.dropout:
            raise InvalidParameterError("absent", self.absent, f"at most dropout, {self.dropout}")
        for name, low, high in (
            ("security_bits", 1, 256),
            ("correctness_bits", 1, 256),
            ("rounds", 1, 2**62),
            ("grinding_bits", 0, 256),
            ("population", 1, MAX_POPULATION),
            ("corrupt_clients", 0, MAX_POPULATION),
        ):
            value = getattr(self, name)
            if name not in _OPTIONAL or value is not None:
                object.__setattr__(self, name, check_integer(name, value, low=low, high=high))
        if type(self.drawn_honestly) is not bool:
            raise InvalidParameterError("drawn_honestly", self.drawn_honestly, "True or False")
        if self.drawn_honestly and self.population is None:
            raise InvalidParameterError("population", None, "a number, where the cohort is drawn from it honestly")
        if self.corrupt_clients is not None and self.population is not None and self.corrupt_clients > self.population:
            raise InvalidParameterError(
                "corrupt_clients", self.corrupt_clients, f"at most {self.population}, all there are"
            )

    def corrupt_in(self, clients: int) -> int:
        """Returns A, how many of `clients` invited ones may collude.

        Raises:
            InvalidParameterError: there are more of them than the population has.
        """
        population = clients if self.population is None else self.population
        if clients > population:
            raise InvalidParameterError("clients", clients, f"at most {population}, the population")
        corrupt = _clients_of(self.corrupt, population) if self.corrupt_clients is None else self.corrupt_clients
        return corrupt_in_cohort(
            clients,
            population=population,
            corrupt=corrupt,
            drawn_honestly=self.drawn_honestly,
            security_bits=self.security_bits + math.log2(self.rounds),
        )

    def dropped_clients(self, clients: int) -> int:
        """Returns how many of `clients` may vanish."""
        return _clients_of(self.dropout, clients)

    def setting(self, clients: int, adversary: AdversaryModel, roster: int | None = None) -> Setting:
        """Returns the same in counts: for one roster, or for all that may come of `clients` invited ones."""
        corrupt, dropped = self.corrupt_in(clients), self.dropped_clients(clients)
        smallest = clients - _clients_of(self.absent, clients) if roster is None else roster
        largest = clients if roster is None else roster
        grinding = self.grinding_bits
        if grinding is None:
            grinding = DEFAULT_GRINDING_BITS if adversary is AdversaryModel.ACTIVE else 0
        return Setting(
            smallest=smallest,
            largest=largest,
            # Corrupt clients do not stay away: their part of a smaller roster is larger.
            corrupt=min(corrupt, smallest),
            # Those who are missing have vanished already.
            dropped=max(0, dropped - (clients - largest)),
            adversary=adversary,
            security_bits=self.security_bits,
            correctness_bits=self.correctness_bits,
            rounds=self.rounds,
            grinding_bits=grinding,
        )

    def certificate(
        self, clients: int, *, neighbours: int, threshold: int, adversary: AdversaryModel, roster: int | None = None
    ) -> Certificate:
        """Returns what holds for the k and t of checked parameters: `certify` checks them first."""
        return certificate_of(
            self.setting(clients, adversary, roster), clients=clients, neighbours=neighbours, threshold=threshold
        )


def choose(
    clients: int,
    *,
    corrupt: float = 0.1,
    dropout: float,
    adversary: AdversaryModel,
    security_bits: int = 40,
    correctness_bits: int = 30,
    rounds: int = 1,
    grinding_bits: int | None = None,
    absent: float = 0.0,
    population: int | None = None,
    corrupt_clients: int | None = None,
    drawn_honestly: bool = False,
) -> Certificate:
    """Chooses the smallest even k for which some t meets all conditions, and then the smallest t.

    The complete graph is chosen for small cohorts and where no smaller k does.

    Args:
        clients: n, 3 to 2**20.
        corrupt: the part of the population that may collude with the server, 0 to below 1.
        dropout: the part of the clients that may vanish, corrupt ones aside, 0 to below 1.
        adversary: the model.
        security_bits: log2 of one over the probability that privacy fails.
        correctness_bits: log2 of one over the probability that recovery fails.
        rounds: how many rounds with one population the two cover together.
        grinding_bits: log2 of the rosters that a lying server can try; by default 64 in the ACTIVE model, else 0.
        absent: the part of all clients that may never advertise keys; it counts within dropout, and is at most that.
            Then the choice holds for every roster from n less these to n.
        population: of how many clients `corrupt` is the part; None is n. All corrupt ones count, up to n.
        corrupt_clients: how many of the population may collude, in place of the part.
        drawn_honestly: that the n are a random part of the population, which the server does not choose.

    Returns:
        The certificate of the choice; it holds.

    Raises:
        InvalidParameterError: a number is out of range, or nothing is feasible: the text says what would be.

    Cost:
        A few milliseconds; some tens where n is 10**6 and k in the hundred thousands.
    """
    assumptions = Assumptions(
        corrupt=corrupt,
        dropout=dropout,
        absent=absent,
        security_bits=security_bits,
        correctness_bits=correctness_bits,
        rounds=rounds,
        grinding_bits=grinding_bits,
        population=population,
        corrupt_clients=corrupt_clients,
        drawn_honestly=drawn_honestly,
    )
    _check_adversary(adversary)
    clients = check_integer(
        "clients", clients, low=4 if adversary is AdversaryModel.ACTIVE else 3, high=MAX_COHORT_SIZE
    )
    budget = _Budget(
        clients,
        assumptions.corrupt_in(clients),
        assumptions.dropped_clients(clients),
        adversary,
        by_part=population is None and corrupt_clients is None,
    )
    if not budget.kept:
        raise InvalidParameterError(
            "corrupt, dropout", (assumptions.corrupt, assumptions.dropout), budget.advice(assumptions.absent)
        )
    setting = assumptions.setting(clients, adversary)
    found = smallest_degree(setting) if clients > SMALL_COHORT else None
    if found is None:
        complete = clients - 1
        threshold = setting.smallest_threshold(complete, highest=complete - setting.dropped)
        if threshold is None:
            raise InvalidParameterError(
                "corrupt, dropout", (assumptions.corrupt, assumptions.dropout), budget.advice(assumptions.absent)
            )
        found = complete, threshold
    neighbours, threshold = found
    return certificate_of(setting, clients=clients, neighbours=neighbours, threshold=threshold)


def certify(
    clients: int,
    *,
    neighbours: int,
    threshold: int,
    corrupt: float = 0.1,
    dropout: float,
    adversary: AdversaryModel,
    security_bits: int = 40,
    correctness_bits: int = 30,
    rounds: int = 1,
    grinding_bits: int | None = None,
    absent: float = 0.0,
    roster: int | None = None,
    population: int | None = None,
    corrupt_clients: int | None = None,
    drawn_honestly: bool = False,
) -> Certificate:
    """Returns the certificate for a k and t that somebody else chose; ask `holds` before relying on it.

    Args:
        clients: n, all that were invited.
        neighbours: k, even and below n - 1, or exactly n - 1.
        threshold: t, 1 to k. In a roster with fewer peers than that, *alive* does not hold.
        corrupt: as in `choose`, like all that follow.
        dropout: the part that may vanish, those included that are missing from the roster.
        adversary: the model.
        security_bits: for privacy.
        correctness_bits: for recovery.
        rounds: covered together.
        grinding_bits: rosters that a lying server can try.
        absent: the part that may never advertise keys; the certificate speaks for every roster that may come.
        roster: how many did advertise keys and are on the ring; the certificate speaks for this roster alone.
        population: as in `choose`, like the next two.
        corrupt_clients: how many of them may collude, in place of the part.
        drawn_honestly: that the n are a random part of them.

    Raises:
        InvalidParameterError: a number is out of range, or a roster is given together with `absent`.

    Cost:
        Some tenths of a millisecond; equal calls are answered from a cache.
    """
    assumptions = Assumptions(
        corrupt=corrupt,
        dropout=dropout,
        absent=absent,
        security_bits=security_bits,
        correctness_bits=correctness_bits,
        rounds=rounds,
        grinding_bits=grinding_bits,
        population=population,
        corrupt_clients=corrupt_clients,
        drawn_honestly=drawn_honestly,
    )
    clients = check_integer("clients", clients, low=3, high=MAX_COHORT_SIZE)
    _check_adversary(adversary)
    neighbours = check_integer("neighbours", neighbours, low=2, high=clients - 1)
    if neighbours % 2 and neighbours != clients - 1:
        raise InvalidParameterError("neighbours", neighbours, "even, or exactly clients - 1")
    threshold = check_integer("threshold", threshold, low=1, high=neighbours)
    if roster is not None:
        roster = check_integer("roster", roster, low=1, high=clients)
        if assumptions.absent:
            raise InvalidParameterError("roster", roster, "None where absent is given: it says how many may be missing")
    return assumptions.certificate(
        clients, neighbours=neighbours, threshold=threshold, adversary=adversary, roster=roster
    )


@dataclass(frozen=True, slots=True)
class _Budget:
    """How many may be corrupt or vanish for the complete graph to hold: A + D, or A + 2D if ACTIVE, up to n - 2.

    What it cannot do, no sparse graph can: of k neighbours there too, corrupt and lost ones must leave room.
    """

    clients: int
    corrupt: int
    dropped: int
    adversary: AdversaryModel
    by_part: bool
    """Whether the corrupt ones were given as a part of these clients."""

    @property
    def _weight(self) -> int:
        return 2 if self.adversary is AdversaryModel.ACTIVE else 1

    @property
    def _most_dropped(self) -> int:
        # In the complete graph t is more than half of the peers. A sparse one may bear more, but need not.
        return min((self.clients - 2 - self.corrupt) // self._weight, self._half)

    @property
    def _half(self) -> int:
        return (self.clients - 2) // 2

    @property
    def kept(self) -> bool:
        """Whether some graph may hold."""
        small = self.clients <= SMALL_COHORT
        fits = self.corrupt + self._weight * self.dropped <= self.clients - 2
        return fits and (self.dropped <= self._half or not small)

    def advice(self, absent: float) -> str:
        """Returns the changes that each make the setting feasible, or together if none does alone."""
        most_dropped = self._most_dropped
        most_corrupt = self.clients - 2 - self._weight * self.dropped
        hints = []
        if most_dropped >= 0:
            hints.append(f"{self._dropout_at_most(most_dropped, absent)} with this corrupt part")
        if most_corrupt >= 0 and self.dropped <= self._half:
            hints.append(f"{self._corrupt_at_most(most_corrupt)} with this dropout")
        if hints:
            return ", or ".join(hints)
        corrupt = (self.clients - 2) // 2
        dropped = min((self.clients - 2 - corrupt) // self._weight, self._half)
        return f"{self._corrupt_at_most(corrupt)} and {self._dropout_at_most(dropped, absent)}"

    def _corrupt_at_most(self, count: int) -> str:
        # Of a larger population, or of a drawing, a part of these clients says nothing.
        return f"corrupt at most {self._part(count)}" if self.by_part else f"at most {count} of the clients corrupt"

    def _dropout_at_most(self, dropped: int, absent: float) -> str:
        # Nobody is absent who has not vanished, so absent may have to shrink with dropout.
        names = "dropout and absent" if absent > dropped / self.clients else "dropout"
        return f"{names} at most {self._part(dropped)}"

    def _part(self, count: int) -> str:
        # Rounded down, so that it does not stand for one client more.
        return f"0.{count * 10**6 // self.clients:06}".rstrip("0").rstrip(".")


def _clients_of(part: float, clients: int) -> int:
    # The decimals that the user wrote: 0.1 of 30 is 3, though the float 0.1 is a little more than that.
    return math.ceil(Fraction(str(part)) * clients)


def _check_adversary(adversary: object) -> None:
    if not isinstance(adversary, AdversaryModel):
        raise InvalidParameterError("adversary", adversary, "an AdversaryModel")
