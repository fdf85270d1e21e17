"""What one client accepts from any server, decided by the client's owner.

There is no negotiation: an offer outside the policy is refused with the rule, the offer and what
would have been accepted. The server never learns the policy except by that refusal.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from secagg.checks import check_client_id, check_fraction, check_integer, check_type
from secagg.errors import ClientId, InvalidParameterError, PolicyViolationError
from secagg.frozen import FrozenDict
from secagg.graph.choosing import Assumptions, Certificate
from secagg.graph.cohort_draw import MAX_POPULATION
from secagg.params import MAX_COHORT_SIZE, MAX_VECTOR_LENGTH, AdversaryModel, SessionParams, smallest_threshold
from secagg.primitives.prg import Suite
from secagg.primitives.signing import identity_problem

_OPTIONAL: Final = frozenset(
    {
        "corrupt_clients",
        "grinding_bits",
        "min_cohort",
        "modulus_bits",
        "population",
        "round_number",
        "vector_length",
    }
)
"""Where None stands for a default, or for any."""

_SAFE_COHORT: Final = 10
"""A cohort of so many, unless the owner says otherwise: sums of a few say much about each of them."""

DEFAULT_MAX_COHORT: Final = 4096
"""A roster of so many costs a client a second or two."""

DEFAULT_MAX_MESSAGE_BYTES: Final = 2**27
"""More than 30 million words of 32 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPolicy:
    """The terms on which a client takes part; all of them are enforced on the client.

    Args:
        identities: the Ed25519 public key of every client that may appear in a roster, by id. Needed
            in the ACTIVE model, where no key of the message itself is ever trusted.
        adversary: the only adversary model accepted.
        suites: the mask generators accepted.
        min_cohort: the smallest cohort, both invited and in the roster: leave room for clients that never answer. None
            is 10 invited, or the whole population where that is smaller, or 3 where it is not known.
        max_cohort: the largest cohort invited.
        corrupt_fraction: the part of the population that may collude with the server (gamma), 0 to below 1/2. Who
            invites chooses the cohort, so that all of them count in it: A = min(cohort_size,
            ceil(corrupt_fraction * population)) clients are assumed corrupt in what follows.
        corrupt_clients: how many of the population may collude, in place of the part; None is the part.
        population: how many clients may ever be invited. In the ACTIVE model it is the number of `identities`, and None
            here. In the other model None is the cohort itself: then the server is believed that it chose nobody.
        drawn_honestly: that every cohort is a random part of the population, which the server does not choose: then A
            is what a random cohort exceeds with probability 2**-security_bits at most.
        dropout_fraction: the part of the cohort that may vanish, for which a sparse graph has to keep the session
            alive (delta), 0 to below 1. A client need not care: privacy holds whether or not they vanish.
        security_bits: what a sparse graph may leak, it leaks with probability 2**-security_bits at most (sigma).
        correctness_bits: where dropout_fraction vanish, recovery fails with 2**-correctness_bits at most (eta).
        grinding_bits: log2 of the rosters that a lying server may try until the graph suits it; taken off the
            security. None is 64 in the ACTIVE model, where the roster decides the graph, else 0.
        min_survivors: the fewest clients in a released sum. The floor is A + 3: fewer than three
            honest survivors protect nobody.
        small_consortium: lowers that floor to A + 2, for consortia that know each other. Never less.
        vector_length: the only vector length accepted, or None for any.
        modulus_bits: the only modulus accepted, or None for any.
        application: the only application bytes accepted, or None for any.
        round_number: the only training round accepted, or None for any. Who pins it takes part in no
            second session of a round, whose sum could be subtracted from the first one's.
        max_message_bytes: the largest message, in either direction, that a session may need.

    Raises:
        InvalidParameterError: the policy contradicts itself.
    """

    identities: Mapping[ClientId, bytes] = field(default_factory=dict, repr=False)
    adversary: AdversaryModel = AdversaryModel.ACTIVE
    suites: frozenset[Suite] = frozenset(Suite)
    min_cohort: int | None = None
    max_cohort: int = DEFAULT_MAX_COHORT
    corrupt_fraction: float = 0.1
    corrupt_clients: int | None = None
    population: int | None = None
    drawn_honestly: bool = False
    dropout_fraction: float = 0.0
    security_bits: int = 40
    correctness_bits: int = 30
    grinding_bits: int | None = None
    min_survivors: int = 0
    small_consortium: bool = False
    vector_length: int | None = None
    modulus_bits: int | None = None
    application: bytes | None = None
    round_number: int | None = None
    max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES

    def __post_init__(self) -> None:
        if not isinstance(self.adversary, AdversaryModel):
            raise InvalidParameterError("adversary", self.adversary, "an AdversaryModel")
        object.__setattr__(self, "suites", _frozen_suites(self.suites))
        # In Python's own types, which snapshots can hold, whatever kind of number was given.
        for name, below in (("corrupt_fraction", Fraction(1, 2)), ("dropout_fraction", Fraction(1))):
            object.__setattr__(self, name, check_fraction(name, getattr(self, name), below=below))
        for name, low, high in (
            ("security_bits", 1, 256),
            ("correctness_bits", 1, 256),
            ("grinding_bits", 0, 256),
            ("max_cohort", 3, MAX_COHORT_SIZE),
            ("min_cohort", 3, MAX_COHORT_SIZE),
            ("corrupt_clients", 0, MAX_POPULATION),
            ("population", 3, MAX_POPULATION),
            ("min_survivors", 0, MAX_COHORT_SIZE),
            ("max_message_bytes", 1, 2**63 - 1),
            ("vector_length", 0, MAX_VECTOR_LENGTH),
            ("modulus_bits", 1, 64),
            ("round_number", 0, 2**64 - 1),
        ):
            value = getattr(self, name)
            if value is not None or name not in _OPTIONAL:
                object.__setattr__(self, name, check_integer(name, value, low=low, high=high))
        if self.min_cohort is not None:
            check_integer("min_cohort", self.min_cohort, low=3, high=self.max_cohort)
        check_integer("min_survivors", self.min_survivors, low=0, high=self.max_cohort)
        for name in ("small_consortium", "drawn_honestly"):
            if type(getattr(self, name)) is not bool:
                raise InvalidParameterError(name, getattr(self, name), "True or False")
        if self.application is not None and type(self.application) is not bytes:
            raise InvalidParameterError("application", type(self.application).__name__, "bytes or None")
        self._check_identities()
        self._check_population()

    @property
    def smallest_cohort(self) -> int:
        """The smallest cohort accepted: `min_cohort`, or its default."""
        if self.min_cohort is not None:
            return self.min_cohort
        known = self._known
        return 3 if known is None else max(3, min(_SAFE_COHORT, known, self.max_cohort))

    @property
    def smallest_roster(self) -> int:
        """The fewest clients in a roster: `min_cohort`. By default the minimum of survivors says how many stay away."""
        return 3 if self.min_cohort is None else self.min_cohort

    def assumed_corrupt(self, cohort_size: int) -> int:
        """Returns A, how many of an invited cohort may collude, in exact arithmetic.

        Raises:
            InvalidParameterError: the cohort is larger than the population, or no size.
        """
        cohort_size = check_integer("cohort_size", cohort_size, low=1, high=MAX_COHORT_SIZE)
        return self._assumptions(cohort_size).corrupt_in(cohort_size)

    def required_survivors(self, params: SessionParams, roster_size: int | None = None) -> int:
        """Returns the fewest survivors of a sum that this client helps to release.

        Args:
            params: what the server offers.
            roster_size: the clients that advertised keys; None is all of the cohort.

        Raises:
            InvalidParameterError: these are no parameters, or no size.
        """
        check_type("params", params, SessionParams)
        size = params.cohort_size if roster_size is None else _roster_size(roster_size)
        return self._required(params, self._certificate(params, size))

    def required_signatures(self, params: SessionParams, roster_size: int) -> int:
        """Returns how many of the roster must have signed one survivor set: no second one can then have as many."""
        check_type("params", params, SessionParams)
        return (_roster_size(roster_size) + self.assumed_corrupt(params.cohort_size)) // 2 + 1

    def check_graph(self, params: SessionParams, roster_size: int) -> None:
        """Checks threshold and graph over those clients that are there.

        Raises:
            PolicyViolationError: with the condition that does not hold.
            InvalidParameterError: these are no parameters, or no size.
        """
        check_type("params", params, SessionParams)
        self._checked(params, _roster_size(roster_size))

    def check(self, params: SessionParams) -> None:
        """Compares a server's offer with the policy; `max_message_bytes` is compared where messages are known.

        Raises:
            PolicyViolationError: with the first rule that the offer breaks.
            InvalidParameterError: these are no parameters.
        """
        check_type("params", params, SessionParams)
        if params.adversary is not self.adversary:
            raise PolicyViolationError("adversary", params.adversary.name, self.adversary.name)
        if params.suite not in self.suites:
            raise PolicyViolationError("suite", params.suite.name, sorted(suite.name for suite in self.suites))
        largest = self.max_cohort if self.population is None else min(self.max_cohort, self.population)
        if not self.smallest_cohort <= params.cohort_size <= largest:
            raise PolicyViolationError("cohort_size", params.cohort_size, f"{self.smallest_cohort} to {largest}")
        if self.corrupt_clients is not None and 2 * self.corrupt_clients >= params.cohort_size:
            # As for the part of them: below a half.
            least = max(self.smallest_cohort, 2 * self.corrupt_clients + 1)
            raise PolicyViolationError(
                "cohort_size", params.cohort_size, f"at least {least}: twice the corrupt, and one"
            )
        certificate = self._checked(params, params.cohort_size)
        if certificate is not None and params.min_survivors < certificate.min_survivors:
            # An honest server would go on with fewer than this client insists on, and fail later.
            raise PolicyViolationError(
                "min_survivors", params.min_survivors, f"at least {certificate.min_survivors} in this graph"
            )
        required = self._required(params, certificate)
        if required > params.cohort_size:
            raise PolicyViolationError(
                "cohort_size", params.cohort_size, f"at least {required}, the minimum of survivors"
            )
        _check_minimum(params, required)
        for rule in ("vector_length", "modulus_bits", "application", "round_number"):
            accepted = getattr(self, rule)
            if accepted is not None and getattr(params, rule) != accepted:
                raise PolicyViolationError(rule, getattr(params, rule), accepted)

    def _check_identities(self) -> None:
        if not isinstance(self.identities, Mapping):
            raise InvalidParameterError("identities", type(self.identities).__name__, "a mapping of ids to keys")
        # A copy: what is checked here must not change later, and a snapshot has to hold it.
        object.__setattr__(self, "identities", FrozenDict(self.identities))
        for client, key in self.identities.items():
            check_client_id("identities", client)
            problem = identity_problem(key)
            if problem is not None:
                allowed = f"given a 32-byte Ed25519 public key, as bytes; this is {problem}"
                raise InvalidParameterError("identities", f"client {client}", allowed)
        if self.adversary is AdversaryModel.ACTIVE and not self.identities:
            raise InvalidParameterError(
                "identities", "none", "given in the ACTIVE model: without them a server could invent every peer"
            )

    def _check_population(self) -> None:
        if self.adversary is AdversaryModel.ACTIVE and self.population is not None:
            raise InvalidParameterError("population", self.population, "None in the ACTIVE model: it is all identities")
        if self.drawn_honestly and self._known is None:
            raise InvalidParameterError("population", None, "a number, where the cohort is drawn from it honestly")
        if self.population is not None and self.corrupt_clients is not None and self.corrupt_clients > self.population:
            raise InvalidParameterError(
                "corrupt_clients", self.corrupt_clients, f"at most {self.population}, all there are"
            )

    @property
    def _known(self) -> int | None:
        """How many may ever be invited, or None where that is not known."""
        return len(self.identities) if self.adversary is AdversaryModel.ACTIVE else self.population

    def _required(self, params: SessionParams, certificate: Certificate | None) -> int:
        floor = self.assumed_corrupt(params.cohort_size) + (2 if self.small_consortium else 3)
        # What was proved of a sparse graph holds down to this many survivors.
        proved = 0 if certificate is None else certificate.min_survivors
        return max(floor, self.min_survivors, params.min_survivors, proved)

    def _checked(self, params: SessionParams, roster_size: int) -> Certificate | None:
        """Returns the certificate of a sparse graph, every bound of which holds, or None for a complete one."""
        certificate = self._certificate(params, roster_size)
        if certificate is None:
            self._check_threshold(params, roster_size)
            return None
        for bound in certificate.bounds:
            if not bound.holds:
                raise PolicyViolationError(
                    bound.name,
                    f"a risk of 2^{bound.log2_probability:.1f}: {roster_size} clients, {params.neighbours} neighbours, "
                    f"threshold {params.threshold}",
                    f"at most 2^{bound.log2_allowed:.1f}",
                )
        return certificate

    def _certificate(self, params: SessionParams, roster_size: int) -> Certificate | None:
        """Returns what can be proved of a sparse graph by this client's own assumptions."""
        if not params.sparse:
            return None
        return self._assumptions(params.cohort_size).certificate(
            params.cohort_size,
            neighbours=params.neighbours,
            threshold=params.threshold,
            adversary=self.adversary,
            roster=roster_size,
        )

    def _assumptions(self, cohort_size: int) -> Assumptions:
        known = self._known
        if self.adversary is AdversaryModel.ACTIVE:
            # A stranger in the cohort is refused when the roster shows it.
            known = max(len(self.identities), cohort_size)
        return Assumptions(
            corrupt=self.corrupt_fraction,
            corrupt_clients=self.corrupt_clients,
            population=known,
            drawn_honestly=self.drawn_honestly,
            dropout=self.dropout_fraction,
            security_bits=self.security_bits,
            correctness_bits=self.correctness_bits,
            grinding_bits=self.grinding_bits,
        )

    def _check_threshold(self, params: SessionParams, roster_size: int) -> None:
        corrupt = self.assumed_corrupt(params.cohort_size)
        smallest = smallest_threshold(roster_size - 1, corrupt_clients=corrupt, adversary=self.adversary)
        if params.threshold < smallest:
            raise PolicyViolationError("threshold", params.threshold, f"at least {smallest} with {corrupt} corrupt")


def _check_minimum(params: SessionParams, required: int) -> None:
    """Refuses an offer by which an honest server goes on with fewer survivors than this client insists on.

    Every such client would leave when the survivors are fixed, and the session would die of it with nobody to name.
    """
    if required > params.min_survivors:
        raise PolicyViolationError("min_survivors", params.min_survivors, f"at least {required}")


def _frozen_suites(suites: object) -> frozenset[Suite]:
    """Returns the suites, whatever collection they were given in."""
    if isinstance(suites, AbstractSet | list | tuple) and suites and all(isinstance(suite, Suite) for suite in suites):
        return frozenset(suites)
    raise InvalidParameterError("suites", suites, "a non-empty set of Suite")


def _roster_size(size: int) -> int:
    return check_integer("roster_size", size, low=1, high=MAX_COHORT_SIZE)
