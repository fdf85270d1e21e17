"""What one client accepts from any server, decided by the client's owner.

There is no negotiation: an offer outside the policy is refused with the rule, the offer and what
would have been accepted. The server never learns the policy except by that refusal.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from secagg.errors import ClientId, InvalidParameterError, PolicyViolationError
from secagg.graph.choosing import Certificate, certify
from secagg.params import MAX_COHORT_SIZE, MAX_VECTOR_LENGTH, AdversaryModel, SessionParams, check_integer
from secagg.primitives.prg import Suite

MAX_CLIENT_ID: Final = 2**64 - 1


def check_client_id(parameter: str, client: object) -> None:
    """Refuses what is no client id.

    Raises:
        InvalidParameterError: it is no Python int from 0 to 2**64 - 1.
    """
    if type(client) is not int or not 0 <= client <= MAX_CLIENT_ID:
        raise InvalidParameterError(parameter, client, "a Python int from 0 to 2**64 - 1")


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
            alive (delta), 0 to below 1. A client need not care: privacy holds whoever vanishes.
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
        self._check_fraction("corrupt_fraction", Fraction(1, 2))
        self._check_fraction("dropout_fraction", Fraction(1))
        check_integer("security_bits", self.security_bits, 1, 256)
        check_integer("correctness_bits", self.correctness_bits, 1, 256)
        if self.grinding_bits is not None:
            check_integer("grinding_bits", self.grinding_bits, 0, 256)
        check_integer("max_cohort", self.max_cohort, 3, MAX_COHORT_SIZE)
        check_integer("min_cohort", self.min_cohort, 3, self.max_cohort)
        check_integer("min_survivors", self.min_survivors, 0, self.max_cohort)
        check_integer("max_message_bytes", self.max_message_bytes, 1, 2**63 - 1)
        if type(self.small_consortium) is not bool:
            raise InvalidParameterError("small_consortium", self.small_consortium, "True or False")
        if self.vector_length is not None:
            check_integer("vector_length", self.vector_length, 0, MAX_VECTOR_LENGTH)
        if self.modulus_bits is not None:
            check_integer("modulus_bits", self.modulus_bits, 1, 64)
        if self.round_number is not None:
            check_integer("round_number", self.round_number, 0, 2**64 - 1)
        if self.application is not None and type(self.application) is not bytes:
            raise InvalidParameterError("application", type(self.application).__name__, "bytes or None")
        self._check_identities()

    def assumed_corrupt(self, cohort_size: int) -> int:
        """Returns A = ceil(corrupt_fraction * cohort_size), in exact arithmetic."""
        # The decimal that the user wrote, not the binary fraction nearest to it: 0.1 of 30 is 3, not 4.
        return math.ceil(Fraction(str(self.corrupt_fraction)) * cohort_size)

    def required_survivors(self, params: SessionParams, roster_size: int | None = None) -> int:
        """Returns the fewest survivors of a sum that this client helps to release.

        Args:
            params: what the server offers.
            roster_size: the clients that advertised keys; None is all of the cohort.
        """
        floor = self.assumed_corrupt(params.cohort_size) + (2 if self.small_consortium else 3)
        proved = self._proved_survivors(params, params.cohort_size if roster_size is None else roster_size)
        return max(floor, self.min_survivors, params.min_survivors, proved)

    def required_signatures(self, params: SessionParams, roster_size: int) -> int:
        """Returns how many of the roster must have signed one survivor set: no second one can then have as many."""
        return (roster_size + self.assumed_corrupt(params.cohort_size)) // 2 + 1

    def check_graph(self, params: SessionParams, roster_size: int) -> None:
        """Checks threshold and graph over those clients that are there.

        Raises:
            PolicyViolationError: with the condition that does not hold.
        """
        if not params.sparse:
            self._check_threshold(params, roster_size)
            return
        for bound in self._certificate(params, roster_size).bounds:
            if not bound.holds:
                raise PolicyViolationError(
                    bound.name,
                    f"a risk of 2^{bound.log2_probability:.1f}: {roster_size} clients, {params.neighbours} neighbours, "
                    f"threshold {params.threshold}",
                    f"at most 2^{bound.log2_allowed:.1f}",
                )

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
        self.check_graph(params, params.cohort_size)
        proved = self._proved_survivors(params, params.cohort_size)
        if params.min_survivors < proved:
            # An honest server would go on with fewer than this client insists on, and fail later.
            raise PolicyViolationError("min_survivors", params.min_survivors, f"at least {proved} in this graph")
        required = self.required_survivors(params)
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

    def _check_fraction(self, name: str, below: Fraction) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidParameterError(name, value, "a number")
        # A plain float, which snapshots can hold, whatever kind of number was given.
        object.__setattr__(self, name, float(value))
        if not 0 <= value < below:
            raise InvalidParameterError(name, value, f"at least 0 and below {below}")

    def _proved_survivors(self, params: SessionParams, roster_size: int) -> int:
        """Returns down to how many survivors what was proved of a sparse graph holds."""
        return self._certificate(params, roster_size).min_survivors if params.sparse else 0

    def _certificate(self, params: SessionParams, roster_size: int) -> Certificate:
        return certify(
            params.cohort_size,
            params.neighbours,
            params.threshold,
            self.corrupt_fraction,
            self.dropout_fraction,
            self.adversary,
            security_bits=self.security_bits,
            correctness_bits=self.correctness_bits,
            grinding_bits=self.grinding_bits,
            roster=roster_size,
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
