"""The server: one collecting round for each arrow from the clients.

    CollectingKeys > CollectingShares > CollectingMaskedInputs > CollectingSignatures > CollectingUnmasking

(HONEST_BUT_CURIOUS skips CollectingSignatures.) Each round takes messages in any order through
`receive`; `close` ends it and returns the next round with what to send to whom. Every predicate on
which a client would abort and which a peer can violate is checked here on receipt: the sender is
dropped and named, and the session goes on. The server keeps one running sum and no vector.
"""

from collections.abc import Collection, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from secagg.bitmap import decode_bitmap, encode_bitmap
from secagg.checks import check_advertisement
from secagg.collecting import DISPUTED, Expected, Facts, Fault, Outbound, Round
from secagg.dealing import KIND_MASK_KEY, KIND_NAMES, KIND_SELF_MASK_SEED
from secagg.errors import (
    AuthenticationError,
    ClientId,
    InvalidInputError,
    InvalidParameterError,
    InvalidShareError,
    TooFewClientsError,
)
from secagg.messages import (
    SEALED_BYTES,
    SHARE_RECORD_BYTES,
    AdvertiseKeys,
    ConsistencySignature,
    KeyRoster,
    MaskedInput,
    ShareDelivery,
    ShareKeys,
    SurvivorSet,
    UnmaskingRequest,
    UnmaskingShares,
)
from secagg.packing import add_packed, check_packed
from secagg.params import SessionParams
from secagg.policy import check_client_id
from secagg.prg import word_dtype
from secagg.roster import Roster, RosterEntry
from secagg.server_facts import Dealt, Enrolled, Invitees, Signed, Summed, members
from secagg.shamir import LIMBS, SHARE_BYTES, decode_shares
from secagg.signing import IDENTITY_BYTES, SIGNATURE_BYTES, verify
from secagg.transcript import (
    COMMITMENT_BYTES,
    CONTEXT_BYTES,
    MODEL_DIGEST_BYTES,
    NO_MODEL,
    SESSION_ID_BYTES,
    consistency_digest,
    session_context,
    task_digest,
)
from secagg.unmasking import rebuild_secrets, remove_masks

Present: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Result:
    """What a session releases.

    Args:
        sum: the survivors' vectors summed modulo 2**modulus_bits; words, shape (vector_length,).
        survivors: whose vectors are in the sum (U3).
        culprits: clients that broke a rule, each with its first fault. What was refused did not count; who
            sent something sound instead can be among the survivors all the same.
    """

    sum: npt.NDArray[np.unsignedinteger] = field(repr=False)
    survivors: frozenset[ClientId]
    culprits: Mapping[ClientId, Fault]


class CollectingKeys(Round[Invitees, AdvertiseKeys]):
    """Round 0: public keys. The roster is whoever advertised sound keys in time.

    Args:
        params: the session's parameters.
        session_id: 16 bytes, chosen freshly for this session.
        clients: the ids invited, cohort_size of them.
        identities: the identity key that this server knows each client by; ACTIVE only.

    Raises:
        InvalidInputError, InvalidParameterError: the cohort or the identities do not fit the parameters.
    """

    stage = "advertise_keys"
    expects = AdvertiseKeys

    def __init__(
        self,
        params: SessionParams,
        session_id: bytes,
        clients: Collection[ClientId],
        identities: Mapping[ClientId, bytes] | None = None,
    ) -> None:
        known = dict(identities or {})
        cohort = frozenset(clients)
        if len(cohort) != params.cohort_size or len(clients) != params.cohort_size:
            raise InvalidInputError("clients", f"{len(cohort)} different ids", f"{params.cohort_size} different ids")
        for client in cohort:
            check_client_id("clients", client)
        if type(session_id) is not bytes or len(session_id) != SESSION_ID_BYTES:
            raise InvalidInputError("session_id", "wrong type or length", f"{SESSION_ID_BYTES} bytes")
        if params.active:
            keys = {known.get(client, b"") for client in cohort}
            if len(keys) != len(cohort) or any(len(key) != IDENTITY_BYTES for key in keys):
                raise InvalidInputError(
                    "identities", "missing, repeated or of a wrong length", "one distinct 32-byte key for each client"
                )
        elif known:
            raise InvalidParameterError("identities", "given", "absent: HONEST_BUT_CURIOUS signs nothing")
        kept = {client: known[client] for client in cohort} if params.active else {}
        self._begin(Invitees(params, session_id, cohort, kept), {})

    @classmethod
    def _restore(cls, facts: Invitees, faults: dict[ClientId, Fault]) -> "CollectingKeys":
        restored = cls.__new__(cls)
        restored._begin(facts, faults)
        return restored

    def _begin(self, facts: Invitees, faults: dict[ClientId, Fault]) -> None:
        super().__init__(facts, facts.params, facts.clients, faults)
        self._session_ctx = session_context(facts.params, facts.session_id)
        self._entries: dict[ClientId, RosterEntry] = {}
        self._keys: set[bytes] = set()

    def _roster_size(self) -> int:
        return self.params.cohort_size

    def _accept(self, sender: ClientId, message: AdvertiseKeys) -> None:
        entry = RosterEntry(sender, message.seal_key, message.mask_key, message.signature)
        check_advertisement(self.params, self._session_ctx, entry, self.facts.identities, sender)
        keys = {entry.seal_key, entry.mask_key}
        if len(keys) != 2 or keys & self._keys:
            # The first arrival wins: whoever repeats a key later has copied it.
            raise AuthenticationError(sender, "a public key was advertised before")
        self._keys |= keys
        self._entries[sender] = entry

    def _shortage(self) -> TooFewClientsError | None:
        needed = self.params.min_survivors
        return self._too_few(needed, len(self._entries)) if len(self._entries) < needed else None

    def close(self) -> tuple["CollectingShares", Mapping[ClientId, KeyRoster]]:
        """Fixes the roster (U1) and sends it to everyone in it.

        Raises:
            TooFewClientsError: not enough keys yet; the round stays open.
        """
        self._close()
        roster = Roster([self._entries[client] for client in sorted(self._entries)])
        enrolled = Enrolled(self.facts, roster.encode())
        message = KeyRoster(enrolled.entries)
        return CollectingShares(enrolled, self.faults), Outbound(tuple(roster.index), lambda _: message)


class _WithCohort(Round[Facts, Expected]):
    """A round after the roster is fixed."""

    def __init__(self, facts: Facts, enrolled: Enrolled, awaited: bytes | None, faults: dict[ClientId, Fault]) -> None:
        self._cohort = enrolled.cohort()
        self._index = self._cohort.roster.index
        size = len(self._index)
        present = np.ones(size, np.bool_) if awaited is None else members(awaited, size)
        super().__init__(facts, enrolled.invitees.params, frozenset(self._clients(present)), faults)
        self._arrived = np.zeros(size, np.bool_)

    def _roster_size(self) -> int:
        return len(self._index)

    def _clients(self, present: Present) -> tuple[ClientId, ...]:
        return tuple(self._cohort.client(index) for index in np.flatnonzero(present).tolist())

    def _smallest_neighbourhood(self, involved: Present, present: Present) -> TooFewClientsError | None:
        """Returns the shortage where some involved client has fewer than t neighbours present."""
        counts = self._cohort.graph.members_present(present)
        counts[~involved] = self._roster_size()
        worst = int(counts.argmin())
        if counts[worst] >= self.params.threshold:
            return None
        return self._too_few(self.params.threshold, int(counts[worst]), self._cohort.client(worst))


class CollectingShares(_WithCohort[Enrolled, ShareKeys]):
    """Round 1: sealed shares, and the commitments to them."""

    stage = "share_keys"
    expects = ShareKeys

    def __init__(self, facts: Enrolled, faults: dict[ClientId, Fault]) -> None:
        super().__init__(facts, facts, None, faults)
        size = len(self._index)
        self._records = np.zeros((size, size, SHARE_RECORD_BYTES), np.uint8)
        self._seed_commitments = np.zeros((size, CONTEXT_BYTES), np.uint8)

    def _accept(self, sender: ClientId, message: ShareKeys) -> None:
        index = self._index[sender]
        neighbours = self._cohort.graph.neighbours(index)
        self._records[index, neighbours] = np.frombuffer(message.table, np.uint8).reshape(-1, SHARE_RECORD_BYTES)
        self._seed_commitments[index] = np.frombuffer(message.self_mask_commitment, np.uint8)
        self._arrived[index] = True

    def _pruned(self) -> Present:
        """Returns U2: who dealt, less, repeatedly, whoever has fewer than t neighbours in it."""
        kept = self._arrived.copy()
        while True:
            alone = kept & (self._cohort.graph.members_present(kept) < self.params.threshold)
            if not alone.any():
                return kept
            kept &= ~alone

    def _shortage(self) -> TooFewClientsError | None:
        needed, arrived = self.params.min_survivors, int(np.count_nonzero(self._arrived))
        if arrived < needed:
            return self._too_few(needed, arrived)
        kept = int(np.count_nonzero(self._pruned()))
        return self._too_few(needed, kept) if kept < needed else None

    def close(
        self, model_digest: bytes = NO_MODEL
    ) -> tuple["CollectingMaskedInputs", Mapping[ClientId, ShareDelivery]]:
        """Fixes who dealt (U2) and delivers to each what its peers addressed to it.

        Args:
            model_digest: 32-byte digest of what every client is given to work on.

        Raises:
            InvalidInputError: the digest is unusable; the round stays open.
            TooFewClientsError: not enough shares yet; the round stays open.
        """
        if type(model_digest) is not bytes or len(model_digest) != MODEL_DIGEST_BYTES:
            raise InvalidInputError("model_digest", "wrong type or length", f"{MODEL_DIGEST_BYTES} bytes")
        self._close()
        dealers = self._pruned()
        size = len(self._index)
        commitments = self._records[:, :, SEALED_BYTES:].reshape(size, size, 2, COMMITMENT_BYTES).copy()
        dealt = Dealt(self.facts, model_digest, encode_bitmap(dealers), commitments, self._seed_commitments)

        records, graph, index = self._records, self._cohort.graph, self._index
        # The outbound messages own the records from here on; they go when the caller has sent them.
        del self._records

        def deliver(client: ClientId) -> ShareDelivery:
            neighbours = graph.neighbours(index[client])
            senders = np.zeros(size, np.bool_)
            senders[neighbours] = dealers[neighbours]
            return ShareDelivery(encode_bitmap(senders), records[senders, index[client]].tobytes())

        return CollectingMaskedInputs(dealt, self.faults), Outbound(self._clients(dealers), deliver)


class CollectingMaskedInputs(_WithCohort[Dealt, MaskedInput]):
    """Round 2: masked vectors, each checked whole, then added to the one running sum and forgotten."""

    stage = "masked_input"
    expects = MaskedInput

    def __init__(self, facts: Dealt, faults: dict[ClientId, Fault]) -> None:
        super().__init__(facts, facts.enrolled, facts.dealers, faults)
        size = len(self._index)
        self._dealers = members(facts.dealers, size)
        self._unopened = np.zeros((size, size), np.bool_)
        self._sum = np.zeros(self.params.vector_length, word_dtype(self.params.modulus_bits))
        task_ctx = self._cohort.task_context(facts.model_digest)
        self._task_digest = task_digest(self.params.suite, task_ctx)

    def _accept(self, sender: ClientId, message: MaskedInput) -> None:
        index = self._index[sender]
        unopened = decode_bitmap(message.unopened, len(self._index))
        if unopened is None or unopened[index] or np.any(unopened & ~self._dealers):
            raise self._malformed(sender, "unopened lists someone whose shares were not delivered")
        if message.task_digest != self._task_digest:
            # Without this, two honest parties with different models would end in a garbage sum, silently.
            raise AuthenticationError(sender, "it masked for another model digest or round")
        try:
            check_packed(message.vector, self.params.vector_length, self.params.modulus_bits)
        except InvalidInputError as error:
            raise self._malformed(sender, f"vector: {error.problem}") from None
        add_packed(self._sum, message.vector, self.params.modulus_bits)
        self._unopened[index] = unopened
        self._arrived[index] = True

    def _shortage(self) -> TooFewClientsError | None:
        needed, remaining = self.params.min_survivors, int(np.count_nonzero(self._arrived))
        if remaining < needed:
            return self._too_few(needed, remaining)
        return self._smallest_neighbourhood(self._dealers, self._arrived) or self._unopenable()

    def _unopenable(self) -> TooFewClientsError | None:
        """Returns the shortage where too many peers report that what some dealer sealed does not open."""
        opened = self._cohort.graph.members_present(self._arrived) - np.count_nonzero(self._unopened, axis=0)
        opened[~self._dealers] = self._roster_size()
        worst = int(opened.argmin())
        if opened[worst] >= self.params.threshold:
            return None
        return self._too_few(self.params.threshold, int(opened[worst]), self._cohort.client(worst))

    def close(self) -> tuple["CollectingSignatures | CollectingUnmasking", Mapping[ClientId, SurvivorSet]]:
        """Fixes the survivors (U3), irrevocably, and tells them who they are.

        Raises:
            TooFewClientsError: not enough inputs yet, or not enough peers that could open what one client
                dealt; that client is then noted in `faults`. The round stays open.
            InvalidShareError: more than half of the peers that answered report of one client that what it
                dealt does not open, and what is left is not enough. The round stays open.
        """
        self._require_open()
        self._note_disputed()
        self._close()
        survivors = encode_bitmap(self._arrived)
        summed = Summed(self.facts, survivors, self._unopened, self._sum)
        message = SurvivorSet(survivors, int(np.count_nonzero(self._arrived)))
        outbound = Outbound(self._clients(self._arrived), lambda _: message)
        if self.params.active:
            return CollectingSignatures(summed, self.faults), outbound
        return CollectingUnmasking(Signed(summed, survivors), self.faults), outbound

    def _note_disputed(self) -> None:
        shortage = self._unopenable()
        if shortage is None or shortage.neighbourhood is None:
            return
        dealer = self._index[shortage.neighbourhood]
        reports = int(np.count_nonzero(self._unopened[:, dealer]))
        answered = int(self._cohort.graph.members_present(self._arrived)[dealer])
        if not reports:
            return
        # Nobody can prove who lies, the dealer or those who report. More than half of a neighbourhood is never
        # corrupt where a threshold holds, so that many are believed; fewer are noted as what they are, a dispute.
        believed = 2 * reports > answered
        detail = f"{reports} of {answered} peers report that what it dealt does not open"
        fault = Fault(
            self.stage,
            InvalidShareError.__name__ if believed else DISPUTED,
            detail if believed else f"{detail}: it lies, or they do",
        )
        self.faults.setdefault(shortage.neighbourhood, fault)
        if believed:
            kind = KIND_SELF_MASK_SEED if self._arrived[dealer] else KIND_MASK_KEY
            raise InvalidShareError(shortage.neighbourhood, "dealer", shortage.neighbourhood, KIND_NAMES[kind])


class CollectingSignatures(_WithCohort[Summed, ConsistencySignature]):
    """Round 3 (ACTIVE): the survivors' signatures over the survivor set."""

    stage = "consistency"
    expects = ConsistencySignature

    def __init__(self, facts: Summed, faults: dict[ClientId, Fault]) -> None:
        super().__init__(facts, facts.dealt.enrolled, facts.survivors, faults)
        size = len(self._index)
        self._survivors = members(facts.survivors, size)
        self._dealers = members(facts.dealt.dealers, size)
        self._signatures = np.zeros((size, SIGNATURE_BYTES), np.uint8)
        self._digest = consistency_digest(
            self.params.suite,
            self._cohort.task_context(facts.dealt.model_digest),
            self._cohort.roster_hash,
            facts.survivors,
            int(np.count_nonzero(self._survivors)),
        )

    def _accept(self, sender: ClientId, message: ConsistencySignature) -> None:
        identity = self.facts.dealt.enrolled.invitees.identities[sender]
        verify(identity, self._digest, message.signature, sender, "the survivor set")
        index = self._index[sender]
        self._signatures[index] = np.frombuffer(message.signature, np.uint8)
        self._arrived[index] = True

    def _shortage(self) -> TooFewClientsError | None:
        return self._smallest_neighbourhood(self._dealers, self._arrived)

    def close(self) -> tuple["CollectingUnmasking", Mapping[ClientId, UnmaskingRequest]]:
        """Asks everyone who signed (U4) for its shares.

        Raises:
            TooFewClientsError: some neighbourhood has too few signatures yet; the round stays open.
        """
        self._close()
        signers = encode_bitmap(self._arrived)
        message = UnmaskingRequest(signers, self._signatures[self._arrived].tobytes())
        outbound = Outbound(self._clients(self._arrived), lambda _: message)
        return CollectingUnmasking(Signed(self.facts, signers), self.faults), outbound


class CollectingUnmasking(_WithCohort[Signed, UnmaskingShares]):
    """Round 4: one share of each peer from every answering client; each is checked on its own."""

    stage = "unmask"
    expects = UnmaskingShares

    def __init__(self, facts: Signed, faults: dict[ClientId, Fault]) -> None:
        super().__init__(facts, facts.summed.dealt.enrolled, facts.answering, faults)
        size = len(self._index)
        self._survivors = members(facts.summed.survivors, size)
        self._dealers = members(facts.summed.dealt.dealers, size)
        self._limbs = np.zeros((size, size, LIMBS), np.uint32)
        self._available = np.zeros((size, size), np.bool_)

    def _accept(self, sender: ClientId, message: UnmaskingShares) -> None:
        index = self._index[sender]
        expected = self._dealers & ~self.facts.summed.unopened[index]
        expected[index] = False
        dealers = np.flatnonzero(expected)
        if len(message.table) != len(dealers) * SHARE_BYTES:
            raise self._malformed(sender, f"{len(dealers)} shares are awaited")
        points, limbs, canonical = decode_shares(message.table)
        sound = canonical & (points == index + 1)
        commitments = self.facts.summed.dealt.share_commitments
        for position, dealer in enumerate(dealers.tolist()):
            kind = KIND_SELF_MASK_SEED if self._survivors[dealer] else KIND_MASK_KEY
            share = message.table[position * SHARE_BYTES :][:SHARE_BYTES]
            commitment = self._cohort.share_commitment(dealer, index, kind, share)
            if not sound[position] or commitment != commitments[dealer, index, kind - 1].tobytes():
                raise InvalidShareError(sender, "responder", self._cohort.client(dealer), KIND_NAMES[kind])
        self._limbs[dealers, index] = limbs
        self._available[dealers, index] = True
        self._arrived[index] = True

    def _shortage(self) -> TooFewClientsError | None:
        counts = np.count_nonzero(self._available, axis=1)
        counts[~self._dealers] = self._roster_size()
        worst = int(counts.argmin())
        if counts[worst] >= self.params.threshold:
            return None
        return self._too_few(self.params.threshold, int(counts[worst]), self._cohort.client(worst))

    def close(self, executor: Executor | None = None) -> Result:
        """Rebuilds the secrets, takes the masks off and releases the sum.

        Args:
            executor: runs the mask generation in shards of coordinates; None is serial.

        Raises:
            TooFewClientsError: some secret has too few shares yet; the round stays open.
            InvalidShareError: a dealer shared badly: it is named, and the session has failed.
        """
        self._require_closable()
        summed = self.facts.summed
        secrets, errors = rebuild_secrets(
            self._cohort,
            self._dealers,
            self._survivors,
            summed.dealt.seed_commitments,
            self._limbs,
            self._available,
        )
        for error in errors:
            self.faults.setdefault(error.dealer, Fault(self.stage, type(error).__name__, str(error)))
        if errors:
            self._closed = True
            raise errors[0]
        # A copy, so that a failing executor leaves the round as it was and the caller can close it again.
        total = summed.masked_sum.copy()
        task_ctx = self._cohort.task_context(summed.dealt.model_digest)
        remove_masks(self._cohort, secrets, self._survivors, task_ctx, total, executor)
        self._closed = True
        return Result(total, frozenset(self._clients(self._survivors)), dict(self.faults))


AnyRound: TypeAlias = (
    CollectingKeys | CollectingShares | CollectingMaskedInputs | CollectingSignatures | CollectingUnmasking
)
