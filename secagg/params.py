"""What one session is: cohort size, graph, threshold, vector length, modulus, adversary model.

Every bound on these numbers is checked here and nowhere else; all lengths on the wire follow from
them, so no byte of a peer is parsed before its allowed length is known.
"""

import enum
import struct
from dataclasses import dataclass
from typing import Final

import numpy as np

from secagg.checks import check_integer
from secagg.errors import InvalidParameterError
from secagg.primitives.prg import Suite
from secagg.stages import Stage

MAX_COHORT_SIZE: Final = 2**20
"""Roster indices are u32 and Shamir points lie below 2**31 - 1; the cap keeps a roster's size sane."""

MAX_VECTOR_LENGTH: Final = 2**32
MAX_APPLICATION_BYTES: Final = 1024

_FIXED = struct.Struct("<BBIIIIQBQH")


class AdversaryModel(enum.IntEnum):
    """What the server may do."""

    HONEST_BUT_CURIOUS = 1
    """The server follows the protocol and tries to learn from what it sees. Four exchanges."""

    ACTIVE = 2
    """The server lies as it likes: identities, signatures and a consistency stage. Five exchanges."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of a session, in order."""
        return tuple(stage for stage in Stage if self is AdversaryModel.ACTIVE or stage is not Stage.CONSISTENCY)


def default_threshold(cohort_size: int) -> int:
    """Returns floor(2m/3) + 1 for m = cohort_size - 1 neighbours (Bonawitz et al. 2017, section 6.2).

    Raises:
        InvalidParameterError: `cohort_size` is not from 1 to 2**20.
    """
    cohort_size = check_integer("cohort_size", cohort_size, low=1, high=MAX_COHORT_SIZE)
    return 2 * (cohort_size - 1) // 3 + 1


def smallest_threshold(neighbours: int, *, corrupt_clients: int, adversary: AdversaryModel) -> int:
    """Returns the smallest threshold of the complete graph that so many corrupt clients allow.

    It is above `neighbours` where they allow none.

    Args:
        neighbours: everyone else, m.
        corrupt_clients: A, as `ClientPolicy.assumed_corrupt` says.
        adversary: ACTIVE: 2t > m + A. A lying server shows two survivor sets; honest peers answer one each, the corrupt
            ones both, so both kinds of share of one client are out of its reach (Bonawitz et al. 2017, section 6.2).
            HONEST_BUT_CURIOUS: the corrupt peers alone stay below the threshold. In either more than half of m.

    Raises:
        InvalidParameterError: a number is out of its range.
    """
    neighbours = check_integer("neighbours", neighbours, low=0, high=MAX_COHORT_SIZE)
    corrupt_clients = check_integer("corrupt_clients", corrupt_clients, low=0, high=2**63)
    _check_enum("adversary", adversary, AdversaryModel)
    alone = (neighbours + corrupt_clients) // 2 + 1 if adversary is AdversaryModel.ACTIVE else corrupt_clients + 1
    return max(alone, neighbours // 2 + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParams:
    """The public parameters of one session; client and server hold equal ones or nothing opens.

    Args:
        cohort_size: clients invited, 3 (ACTIVE: 4) to 2**20.
        threshold: shares that rebuild a secret, t. At most `neighbours`, and more than half of them except in a
            sparse graph under HONEST_BUT_CURIOUS, where each client's own certificate decides.
        vector_length: entries in every client's vector, d, 0 to 2**32.
        modulus_bits: m; sums are taken modulo 2**m, 1 to 64.
        adversary: the model that the session defends against.
        suite: the mask generator.
        neighbours: clients that each one shares and masks with, k: even, or exactly cohort_size - 1, the
            complete graph, which 0 (the default) stands for. `secagg.choose` finds k and t for a sparse one.
        min_survivors: the fewest clients whose sum is ever released; raised to what the protocol needs in any
            case, threshold + 1, and in a sparse graph in the ACTIVE model more than half of the cohort.
        round_number: the training round, bound into every mask.
        application: what else both sides must agree on (a plan's or schema's digest), at most 1024 bytes.

    Raises:
        InvalidParameterError: a number is out of its range.
    """

    cohort_size: int
    threshold: int
    vector_length: int
    modulus_bits: int
    adversary: AdversaryModel = AdversaryModel.ACTIVE
    suite: Suite = Suite.AES_128_CTR
    neighbours: int = 0
    min_survivors: int = 0
    round_number: int = 0
    application: bytes = b""

    def __post_init__(self) -> None:
        _check_enum("adversary", self.adversary, AdversaryModel)
        _check_enum("suite", self.suite, Suite)
        self._check_integer("cohort_size", _smallest_cohort(self.adversary), MAX_COHORT_SIZE)
        self._check_graph()
        self._check_integer("vector_length", 0, MAX_VECTOR_LENGTH)
        self._check_integer("modulus_bits", 1, 64)
        self._check_integer("min_survivors", 0, self.cohort_size)
        self._check_integer("round_number", 0, 2**64 - 1)
        if type(self.application) is not bytes or len(self.application) > MAX_APPLICATION_BYTES:
            raise InvalidParameterError(
                "application", type(self.application).__name__, f"bytes, at most {MAX_APPLICATION_BYTES} of them"
            )
        object.__setattr__(self, "min_survivors", max(self.min_survivors, self._fewest_survivors))

    def _check_integer(self, name: str, low: int, high: int) -> None:
        object.__setattr__(self, name, check_integer(name, getattr(self, name), low=low, high=high))

    def _check_graph(self) -> None:
        everyone_else = self.cohort_size - 1
        if type(self.neighbours) is not bool and isinstance(self.neighbours, int | np.integer) and self.neighbours == 0:
            object.__setattr__(self, "neighbours", everyone_else)
        self._check_integer("neighbours", min(2, everyone_else), everyone_else)
        if self.sparse and self.neighbours % 2:
            raise InvalidParameterError("neighbours", self.neighbours, f"even, or exactly {everyone_else}")
        # More than half, so that two disjoint groups of peers can never both reach the threshold. A server that
        # does not lie asks one group only: there a client's certificate may allow less.
        lowest = 1 if self.sparse and not self.active else self.neighbours // 2 + 1
        self._check_integer("threshold", lowest, self.neighbours)

    @classmethod
    def for_cohort(
        cls,
        *,
        cohort_size: int,
        vector_length: int,
        modulus_bits: int,
        adversary: AdversaryModel = AdversaryModel.ACTIVE,
        suite: Suite = Suite.AES_128_CTR,
        min_survivors: int = 0,
        round_number: int = 0,
        application: bytes = b"",
        corrupt_clients: int = 0,
    ) -> "SessionParams":
        """Returns parameters of the complete graph with the default threshold, floor(2(n-1)/3) + 1, or a larger one.

        Args:
            cohort_size: as in `SessionParams`, like all but the last.
            vector_length: entries in every client's vector.
            modulus_bits: sums are taken modulo two to this.
            adversary: the model.
            suite: the mask generator.
            min_survivors: the fewest clients in a released sum.
            round_number: the training round.
            application: what else both sides agree on.
            corrupt_clients: A, how many of the cohort clients assume to be corrupt: `ClientPolicy.assumed_corrupt`.
                Threshold and minimum of survivors (A + 3) are raised to what they insist on.

        Raises:
            InvalidParameterError: a number is out of its range, or so many corrupt clients leave no session.
        """
        _check_enum("adversary", adversary, AdversaryModel)
        cohort_size = check_integer("cohort_size", cohort_size, low=_smallest_cohort(adversary), high=MAX_COHORT_SIZE)
        # So that three can be honest: up to there some threshold holds in either model.
        corrupt_clients = check_integer("corrupt_clients", corrupt_clients, low=0, high=cohort_size - 3)
        needed = smallest_threshold(cohort_size - 1, corrupt_clients=corrupt_clients, adversary=adversary)
        min_survivors = check_integer("min_survivors", min_survivors, low=0, high=cohort_size)
        return cls(
            cohort_size=cohort_size,
            threshold=max(default_threshold(cohort_size), needed),
            vector_length=vector_length,
            modulus_bits=modulus_bits,
            adversary=adversary,
            suite=suite,
            min_survivors=max(min_survivors, corrupt_clients + 3),
            round_number=round_number,
            application=application,
        )

    @property
    def active(self) -> bool:
        """Whether the session defends against a lying server."""
        return self.adversary is AdversaryModel.ACTIVE

    @property
    def _fewest_survivors(self) -> int:
        # A survivor's peers rebuild its seed without it, so threshold + 1 clients are the least that can finish.
        # Where neighbourhoods do not overlap, more than half of all have to sign, or two sets could be signed.
        majority = self.cohort_size // 2 + 1 if self.sparse and self.active else 0
        return max(self.threshold + 1, majority)

    @property
    def sparse(self) -> bool:
        """Whether the graph is not the complete one."""
        return self.neighbours != self.cohort_size - 1

    @property
    def shows_roster(self) -> bool:
        """Whether every client sees the whole roster, or under HONEST_BUT_CURIOUS in a sparse graph its neighbours."""
        return self.active or not self.sparse

    @property
    def min_signatures(self) -> int:
        """How many of the survivors have to sign for the session to go on (ACTIVE).

        In the complete graph t + 1 are enough. In a sparse one nobody knows those who are no neighbours by a seal, and
        a signature is what shows that they take part: there it is the minimum of survivors.
        """
        return self.min_survivors if self.sparse else self.threshold + 1

    def neighbours_among(self, roster_size: int) -> int:
        """Returns the neighbours of each client once some may not have advertised: k, or everyone else if fewer."""
        return min(self.neighbours, roster_size - 1)

    def visible_among(self, roster_size: int) -> int:
        """Returns how many clients' entries each client sees, its own included."""
        return roster_size if self.shows_roster else self.neighbours_among(roster_size) + 1

    @property
    def packed_vector_bytes(self) -> int:
        """Bytes of one masked vector on the wire: exactly ceil(d * m / 8)."""
        return (self.vector_length * self.modulus_bits + 7) // 8

    def encode(self) -> bytes:
        """Returns the canonical bytes, as hashed into the session context and sent in the invitation."""
        return (
            _FIXED.pack(
                self.suite,
                self.adversary,
                self.cohort_size,
                self.neighbours,
                self.threshold,
                self.min_survivors,
                self.vector_length,
                self.modulus_bits,
                self.round_number,
                len(self.application),
            )
            + self.application
        )

    @classmethod
    def decode(cls, data: bytes) -> "SessionParams":
        """Returns the parameters that `encode` wrote.

        Raises:
            InvalidParameterError: the bytes are no canonical encoding of valid parameters.
        """
        if type(data) is not bytes:
            raise InvalidParameterError("params", type(data).__name__, "bytes")
        if len(data) < _FIXED.size:
            raise InvalidParameterError("params", f"{len(data)} bytes", f"at least {_FIXED.size} bytes")
        suite, adversary, cohort, neighbours, threshold, survivors, length, bits, round_number, size = (
            _FIXED.unpack_from(data)
        )
        application = data[_FIXED.size :]
        if len(application) != size:
            raise InvalidParameterError("application", f"{len(application)} bytes", f"the {size} bytes announced")
        if adversary not in AdversaryModel.__members__.values():
            raise InvalidParameterError("adversary", adversary, "a known adversary model")
        if suite not in Suite.__members__.values():
            raise InvalidParameterError("suite", suite, "a known suite")
        params = cls(
            cohort_size=cohort,
            threshold=threshold,
            vector_length=length,
            modulus_bits=bits,
            adversary=AdversaryModel(adversary),
            suite=Suite(suite),
            neighbours=neighbours,
            min_survivors=survivors,
            round_number=round_number,
            application=application,
        )
        if params.neighbours != neighbours:
            raise InvalidParameterError("neighbours", neighbours, f"{params.neighbours}, written out")
        if params.min_survivors != survivors:
            raise InvalidParameterError("min_survivors", survivors, f"at least {params.min_survivors}")
        return params


def encoded_params_limit() -> int:
    """Returns the largest number of bytes that `SessionParams.encode` can give."""
    return _FIXED.size + MAX_APPLICATION_BYTES


def _smallest_cohort(adversary: AdversaryModel) -> int:
    return 4 if adversary is AdversaryModel.ACTIVE else 3


def _check_enum(parameter: str, value: object, allowed: type[enum.IntEnum]) -> None:
    if not isinstance(value, allowed):
        raise InvalidParameterError(
            parameter, value, " or ".join(f"{allowed.__name__}.{member.name}" for member in allowed)
        )
