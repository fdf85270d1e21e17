"""What one client accepts from any server, decided by the client's owner.

There is no negotiation: an offer outside the policy is refused with the rule, the offer and what
would have been accepted. The server never learns the policy except by that refusal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from secagg.checks import check_client_id, check_fraction, check_integer
from secagg.errors import ClientId, InvalidParameterError, PolicyViolationError
from secagg.graph.choosing import Assumptions, Certificate
from secagg.params import MAX_COHORT_SIZE, MAX_VECTOR_LENGTH, AdversaryModel, SessionParams
from secagg.primitives.prg import Suite

_OPTIONAL: Final = frozenset({"grinding_bits", "vector_length", "modulus_bits", "round_number"})
"""Where None stands for a default, or for any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPolicy:
    """The terms on which a client takes part; all of them are enforced on the client.

    Args:
        identities: the Ed25519 public key of every client that may appear in a roster, by id. Needed
            in the ACTIVE model, where no key of the message itself is ever trusted.
        adversary: the only adversary model accepted.
        suites: the mask generators accepted.
        min_cohort: the smallest cohort, both invited and in the roster: leave room for clients that never answer.
        max_cohort: the largest cohort invited.
        corrupt_fraction: the part of the cohort that may collude with the server (gamma), 0 to below 1/2.
            A = ceil(corrupt_fraction * cohort_size) clients are assumed corrupt in what follows.
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
    min_cohort: int = 3
    max_cohort: int = MAX_COHORT_SIZE
    corrupt_fraction: float = 0.1
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
    max_message_bytes: int = 2**30

    def __post_init__(self) -> None:
        if not isinstance(self.adversary, AdversaryModel):
            raise InvalidParameterError("adversary", self.adversary, "an AdversaryModel")
        if not self.suites or not all(isinstance(suite, Suite) for suite in self.suites):
            raise InvalidParameterError("suites", self.suites, "a non-empty set of Suite")
        # In Python's own types, which snapshots can hold, whatever kind of number was given.
        for name, below in (("corrupt_fraction", Fraction(1, 2)), ("dropout_fraction", Fraction(1))):
            object.__setattr__(self, name, check_fraction(name, getattr(self, name), below=below))
        for name, low, high in (
            ("security_bits", 1, 256),
            ("correctness_bits", 1, 256),
            ("grinding_bits", 0, 256),
            ("max_cohort", 3, MAX_COHORT_SIZE),
            ("min_cohort", 3, MAX_COHORT_SIZE),
            ("min_survivors", 0, MAX_COHORT_SIZE),
            ("max_message_bytes", 1, 2**63 - 1),
            ("vector_length", 0, MAX_VECTOR_LENGTH),
            ("modulus_bits", 1, 64),
            ("round_number", 0, 2**64 - 1),
        ):
            value = getattr(self, name)
            if value is not None or name not in _OPTIONAL:
                object.__setattr__(self, name, check_integer(name, value, low=low, high=high))
        check_integer("min_cohort", self.min_cohort, low=3, high=self.max_cohort)
        check_integer("min_survivors", self.min_survivors, low=0, high=self.max_cohort)
        if type(self.small_consortium) is not bool:
            raise InvalidParameterError("small_consortium", self.small_consortium, "True or False")
        if self.application is not None and type(self.application) is not bytes:
            raise InvalidParameterError("application", type(self.application).__name__, "bytes or None")
        self._check_identities()

    def assumed_corrupt(self, cohort_size: int) -> int:
        """Returns A = ceil(corrupt_fraction * cohort_size), in exact arithmetic."""
        return self._assumptions.corrupt_clients(cohort_size)

    def required_survivors(self, params: SessionParams, roster_size: int | None = None) -> int:
        """Returns the fewest survivors of a sum that this client helps to release.

        Args:
            params: what the server offers.
            roster_size: the clients that advertised keys; None is all of the cohort.
        """
        certificate = self._certificate(params, params.cohort_size if roster_size is None else roster_size)
        return self._required(params, certificate)

    def required_signatures(self, params: SessionParams, roster_size: int) -> int:
        """Returns how many of the roster must have signed one survivor set: no second one can then have as many."""
        return (roster_size + self.assumed_corrupt(params.cohort_size)) // 2 + 1

    def check_graph(self, params: SessionParams, roster_size: int) -> None:
        """Checks threshold and graph over those clients that are there.

        Raises:
            PolicyViolationError: with the condition that does not hold.
        """
        self._checked(params, roster_size)

    def check(self, params: SessionParams) -> None:
        """Compares a server's offer with the policy; `max_message_bytes` is compared where messages are known.

        Raises:
            PolicyViolationError: with the first rule that the offer breaks.
        """
        if params.adversary is not self.adversary:
            raise PolicyViolationError("adversary", params.adversary.name, self.adversary.name)
        if params.suite not in self.suites:
            raise PolicyViolationError("suite", params.suite.name, sorted(suite.name for suite in self.suites))
        if not self.min_cohort <= params.cohort_size <= self.max_cohort:
            raise PolicyViolationError("cohort_size", params.cohort_size, f"{self.min_cohort} to {self.max_cohort}")
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
        for rule in ("vector_length", "modulus_bits", "application", "round_number"):
            accepted = getattr(self, rule)
            if accepted is not None and getattr(params, rule) != accepted:
                raise PolicyViolationError(rule, getattr(params, rule), accepted)

    def _check_identities(self) -> None:
        if not isinstance(self.identities, Mapping):
            raise InvalidParameterError("identities", type(self.identities).__name__, "a mapping of ids to keys")
        # A copy: what is checked here must not change later, and a snapshot has to hold it.
        object.__setattr__(self, "identities", dict(self.identities))
        for client, key in self.identities.items():
            check_client_id("identities", client)
            if type(key) is not bytes or len(key) != 32:
                raise InvalidParameterError(
                    "identities", f"client {client}", "given a 32-byte Ed25519 public key, as bytes"
                )
        if self.adversary is AdversaryModel.ACTIVE and not self.identities:
            raise InvalidParameterError(
                "identities", "none", "given in the ACTIVE model: without them a server could invent every peer"
            )

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
        return self._assumptions.certificate(
            params.cohort_size,
            neighbours=params.neighbours,
            threshold=params.threshold,
            adversary=self.adversary,
            roster=roster_size,
        )

    @property
    def _assumptions(self) -> Assumptions:
        return Assumptions(
            corrupt=self.corrupt_fraction,
            dropout=self.dropout_fraction,
            security_bits=self.security_bits,
            correctness_bits=self.correctness_bits,
            grinding_bits=self.grinding_bits,
        )

    def _check_threshold(self, params: SessionParams, roster_size: int) -> None:
        corrupt = self.assumed_corrupt(params.cohort_size)
        neighbours = roster_size - 1
        # ACTIVE: 2t > m + c. A lying server shows two survivor sets; honest peers answer one each, the c corrupt
        # peers both, so both kinds of share of one client are out of its reach (Bonawitz et al. 2017, section 6.2).
        # HONEST_BUT_CURIOUS: the corrupt peers alone must stay below the threshold.
        smallest = (neighbours + corrupt) // 2 + 1 if params.active else corrupt + 1
        if params.threshold < smallest:
            raise PolicyViolationError("threshold", params.threshold, f"at least {smallest} with {corrupt} corrupt")
