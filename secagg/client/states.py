"""The client: one single-use state for each round.

    AdvertisingKeys > SharingKeys > MaskingInput > CheckingConsistency > Unmasking    (ACTIVE)
                                                 > AwaitingSurvivors                  (HONEST_BUT_CURIOUS)

A transition spends its state and returns the next one with the message to send. Rules for all:

* The caller's own arguments are checked first: a `LocalError` leaves the state usable.
* A message of a wrong length is a `MalformedMessageError` and leaves the state usable, so that
  garbage from the network cannot end a session.
* Any other fault is the server's, final, and drops the secrets.
* The survivor set is fixed once and decides which single share of each peer is kept for the answer:
  a request for both shares of one client cannot be expressed.
"""

import secrets
from concurrent.futures import Executor
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from secagg.client.checks import check_dealers, check_majority, check_quorum, check_roster, check_survivors
from secagg.client.held import Advertised, Fixed, Invited, Masked, Membership, Shared
from secagg.errors import (
    SERVER,
    ClientId,
    InvalidInputError,
    MalformedMessageError,
    PolicyViolationError,
)
from secagg.params import AdversaryModel, SessionParams
from secagg.policy import ClientPolicy, check_client_id
from secagg.primitives.agreement import KEY_BYTES, KeyPair
from secagg.primitives.bitmap import decode_bitmap, encode_bitmap
from secagg.primitives.masking import apply_masks, reduce_to_modulus
from secagg.primitives.packing import pack
from secagg.primitives.prg import word_dtype
from secagg.primitives.signing import SIGNATURE_BYTES, Identity, verify
from secagg.protocol.cohort import Cohort
from secagg.protocol.dealing import SEED_BYTES, count_records, deal, dealing_rand_bytes, open_delivery, select_answer
from secagg.protocol.messages import (
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
    largest_message_bytes,
)
from secagg.protocol.roster import RosterEntry, decode_roster, entry_bytes
from secagg.protocol.single_use import SingleUse
from secagg.protocol.transcript import (
    MODEL_DIGEST_BYTES,
    NO_MODEL,
    SESSION_ID_BYTES,
    advertisement_digest,
    consistency_digest,
    session_context,
    task_digest,
)

Vector: TypeAlias = npt.NDArray[np.integer]


class AdvertisingKeys(SingleUse[Invited]):
    """Round 0. Construct it from what the server offers.

    Args:
        params: the parameters offered.
        session_id: the session's id, 16 bytes.
        client: this client's id.
        policy: what this client accepts.
        identity: this client's long-term key; needed in the ACTIVE model and refused in the other.

    Raises:
        PolicyViolationError: the offer is outside the policy.
        InvalidParameterError, InvalidInputError: id, session id or identity are unusable.
    """

    __slots__ = ("_identity",)

    def __init__(
        self,
        params: SessionParams,
        session_id: bytes,
        client: ClientId,
        policy: ClientPolicy,
        identity: Identity | None = None,
    ) -> None:
        check_client_id("client", client)
        if type(session_id) is not bytes or len(session_id) != SESSION_ID_BYTES:
            raise InvalidInputError("session_id", "wrong type or length", f"{SESSION_ID_BYTES} bytes")
        check_identity(policy, client, identity)
        policy.check(params)
        largest = largest_message_bytes(params)
        if largest > policy.max_message_bytes:
            raise PolicyViolationError("max_message_bytes", largest, policy.max_message_bytes)
        super().__init__(Invited(params, session_id, client, policy))
        self._identity = identity

    def advertise_keys(self) -> tuple["SharingKeys", AdvertiseKeys]:
        """Draws two key pairs and advertises their public halves."""
        return self._advertise_keys(secrets.token_bytes(2 * KEY_BYTES))

    def _advertise_keys(self, rand: bytes) -> tuple["SharingKeys", AdvertiseKeys]:
        invited = self._spend()
        params = invited.params
        seal, mask = KeyPair(rand[:KEY_BYTES]), KeyPair(rand[KEY_BYTES:])
        signature = b""
        if self._identity is not None:
            context = session_context(params, invited.session_id)
            digest = advertisement_digest(params.suite, context, invited.client, seal.public, mask.public)
            signature = self._identity.sign(digest)
        state = SharingKeys(Advertised(invited, rand[:KEY_BYTES], rand[KEY_BYTES:], signature), self._identity)
        return state, AdvertiseKeys(seal.public, mask.public, signature)


class SharingKeys(SingleUse[Advertised]):
    """Round 1: checks the roster, deals shares of both secrets to every neighbour."""

    __slots__ = ("_identity",)

    def __init__(self, held: Advertised, identity: Identity | None) -> None:
        super().__init__(held)
        self._identity = identity

    def share_keys(self, roster: KeyRoster) -> tuple["MaskingInput", ShareKeys]:
        """Checks the roster and deals.

        Raises:
            MalformedMessageError: wrong lengths; the state stays usable.
            InconsistentServerError, PolicyViolationError, AuthenticationError: final.
        """
        params = self._peek().invited.params
        return self._share_keys(roster, secrets.token_bytes(dealing_rand_bytes(params.neighbours)))

    def _share_keys(self, message: KeyRoster, rand: bytes) -> tuple["MaskingInput", ShareKeys]:
        params = self._peek().invited.params
        message.require_lengths(SERVER, params, params.cohort_size)
        advertised = self._spend()
        invited = advertised.invited
        policy = invited.policy

        seal, mask = KeyPair(advertised.seal_private), KeyPair(advertised.mask_private)
        own = RosterEntry(invited.client, seal.public, mask.public, advertised.signature)
        roster = decode_roster(message.entries, params)
        check_roster(params, session_context(params, invited.session_id), roster, message.total, own, policy)

        cohort = Cohort(params, invited.session_id, roster)
        index = roster.index[invited.client]
        table, opening_keys = deal(cohort, index, seal, advertised.mask_private, rand)
        seed = rand[:SEED_BYTES]
        membership = Membership(
            params=params,
            session_id=invited.session_id,
            client=invited.client,
            required_survivors=policy.required_survivors(params, message.total),
            required_signatures=policy.required_signatures(params, message.total),
            entries=roster.encode(),
            roster_total=message.total,
            identity_keys=tuple(policy.identities[entry.client] for entry in roster.entries) if params.active else (),
        )
        state = MaskingInput(Shared(membership, advertised.mask_private, seed, opening_keys), self._identity)
        return state, ShareKeys(table, cohort.self_mask_commitment(index, seed))


class MaskingInput(SingleUse[Shared]):
    """Round 2: opens what was delivered, masks the vector."""

    __slots__ = ("_identity",)

    def __init__(self, held: Shared, identity: Identity | None) -> None:
        super().__init__(held)
        self._identity = identity

    def mask_input(
        self,
        shares: ShareDelivery,
        vector: Vector,
        model_digest: bytes = NO_MODEL,
        *,
        executor: Executor | None = None,
    ) -> tuple["CheckingConsistency | AwaitingSurvivors", MaskedInput]:
        """Masks the vector; the sum of all survivors' vectors is what the server learns.

        Args:
            shares: what the server delivered.
            vector: integers in [0, 2**modulus_bits), shape (vector_length,); not changed.
            model_digest: 32-byte digest of what this client was given to work on, as received.
            executor: runs the mask generation in shards; a thread pool on a client. None is serial.

        Raises:
            InvalidInputError: vector or digest are unusable; nothing was masked, the state stays usable.
            MalformedMessageError: wrong lengths; the state stays usable.
            InconsistentServerError: the delivery contradicts the graph or the threshold; final.
        """
        membership = self._peek().membership
        params = membership.params
        words = _words(vector, params)
        if type(model_digest) is not bytes or len(model_digest) != MODEL_DIGEST_BYTES:
            raise InvalidInputError("model_digest", "wrong type or length", f"{MODEL_DIGEST_BYTES} bytes")
        cohort = membership.cohort()
        index = cohort.roster.index[membership.client]
        neighbours = cohort.graph.neighbours(index)
        shares.require_lengths(SERVER, params, len(cohort.roster))
        dealers = _bitmap(shares.dealers, len(cohort.roster))
        records = count_records(cohort, index, dealers)
        if len(shares.table) != records * SHARE_RECORD_BYTES:
            raise MalformedMessageError(SERVER, f"ShareDelivery: table is not the {records} records of the dealers")
        shared = self._spend()
        check_dealers(dealers, index, neighbours, params.threshold)

        held, pairs = open_delivery(cohort, index, dealers, shared.opening_keys, shares.table)
        task_ctx = cohort.task_context(model_digest, shares.dealers)
        key = KeyPair(shared.mask_private)
        add = [cohort.self_mask(index, shared.self_mask_seed, task_ctx)]
        subtract: list[bytes] = []
        peers = neighbours[dealers[neighbours]]
        for peer in peers.tolist():
            (add if index < peer else subtract).append(cohort.pairwise_mask(index, key, peer, task_ctx))
        apply_masks(words, add, subtract, params.suite, executor)
        reduce_to_modulus(words, params.modulus_bits)

        unopened = np.zeros(len(cohort.roster), np.bool_)
        unopened[peers] = ~held[peers]
        message = MaskedInput(
            memoryview(pack(words, params.modulus_bits)), encode_bitmap(unopened), task_digest(params.suite, task_ctx)
        )
        masked = Masked(membership, task_ctx, shares.dealers, encode_bitmap(held), pairs)
        if self._identity is not None:
            return CheckingConsistency(masked, self._identity), message
        return AwaitingSurvivors(masked), message


class CheckingConsistency(SingleUse[Masked]):
    """Round 3 (ACTIVE): checks the survivor set, fixes it and signs it, once."""

    __slots__ = ("_identity",)

    def __init__(self, held: Masked, identity: Identity) -> None:
        super().__init__(held)
        self._identity = identity

    def check_consistency(self, survivors: SurvivorSet) -> tuple["Unmasking", ConsistencySignature]:
        """Fixes the survivor set and signs it.

        Raises:
            MalformedMessageError: wrong lengths; the state stays usable.
            InconsistentServerError, PolicyViolationError: final.
        """
        _require_lengths(survivors, self._peek().membership)
        masked = self._spend()
        fixed, cohort = _fix(masked, survivors)
        digest = _consistency_digest(fixed, cohort)
        return Unmasking(fixed), ConsistencySignature(self._identity.sign(digest))


class Unmasking(SingleUse[Fixed]):
    """Round 4 (ACTIVE): checks that every involved neighbourhood signed the same survivor set, answers once."""

    __slots__ = ()

    def unmask(self, request: UnmaskingRequest) -> UnmaskingShares:
        """Releases one share of each peer.

        Raises:
            MalformedMessageError: wrong lengths; the state stays usable.
            AuthenticationError, InconsistentServerError: final.
        """
        membership = self._peek().membership
        _require_lengths(request, membership)
        fixed = self._spend()
        cohort = membership.cohort()
        size = len(cohort.roster)
        signers = _bitmap(request.signers, size)
        digest = _consistency_digest(fixed, cohort)
        for position, signer in enumerate(np.flatnonzero(signers).tolist()):
            signature = request.signatures[position * SIGNATURE_BYTES :][:SIGNATURE_BYTES]
            verify(membership.identity_keys[signer], digest, signature, SERVER, "the survivor set")
        index = cohort.roster.index[membership.client]
        neighbours = cohort.graph.neighbours(index)
        involved = np.append(neighbours[_bitmap(fixed.dealers, size)[neighbours]], index)
        survivors = _bitmap(fixed.survivors, size)
        check_quorum(signers, survivors, involved, cohort.graph, membership.params.threshold)
        held = _bitmap(fixed.held, size) & survivors
        check_majority(signers, held, index, membership.required_signatures, membership.required_survivors)
        return UnmaskingShares(fixed.answer)


class AwaitingSurvivors(SingleUse[Masked]):
    """Rounds 3 and 4 (HONEST_BUT_CURIOUS): checks the survivor set, fixes it and answers."""

    __slots__ = ()

    def unmask(self, survivors: SurvivorSet) -> UnmaskingShares:
        """Releases one share of each peer.

        Raises:
            MalformedMessageError: wrong lengths; the state stays usable.
            InconsistentServerError, PolicyViolationError: final.
        """
        _require_lengths(survivors, self._peek().membership)
        fixed, _ = _fix(self._spend(), survivors)
        return UnmaskingShares(fixed.answer)


ClientState: TypeAlias = (
    AdvertisingKeys | SharingKeys | MaskingInput | CheckingConsistency | Unmasking | AwaitingSurvivors
)


def _require_lengths(message: SurvivorSet | UnmaskingRequest, membership: Membership) -> None:
    params = membership.params
    message.require_lengths(SERVER, params, len(membership.entries) // entry_bytes(params))


def _bitmap(data: bytes, size: int) -> npt.NDArray[np.bool_]:
    present = decode_bitmap(data, size)
    if present is None:
        raise MalformedMessageError(SERVER, f"no bitmap over {size} clients")
    return present


def _words(vector: Vector, params: SessionParams) -> npt.NDArray[np.unsignedinteger]:
    """Returns a fresh array of words to mask in place."""
    bits = params.modulus_bits
    if not isinstance(vector, np.ndarray) or vector.dtype.kind not in "iu":
        found = vector.dtype if isinstance(vector, np.ndarray) else type(vector).__name__
        raise InvalidInputError("vector", f"it is {found}", "a numpy array of an integer dtype")
    if isinstance(vector, np.ma.MaskedArray):
        raise InvalidInputError("vector", "some of its entries are masked", "a plain array without missing entries")
    if vector.shape != (params.vector_length,):
        raise InvalidInputError("vector", f"its shape is {vector.shape}", f"of shape ({params.vector_length},)")
    if vector.size and (int(vector.min()) < 0 or int(vector.max()) >> bits):
        raise InvalidInputError("vector", "an entry is out of range", f"integers in [0, 2**{bits})")
    return np.array(vector, word_dtype(bits), order="C", subok=False)


def _fix(masked: Masked, message: SurvivorSet) -> tuple[Fixed, Cohort]:
    """Checks the survivor set and keeps, of every pair of shares, the one that it asks for."""
    membership = masked.membership
    cohort = membership.cohort()
    size = len(cohort.roster)
    index = cohort.roster.index[membership.client]
    survivors = _bitmap(message.survivors, size)
    held = _bitmap(masked.held, size)
    check_survivors(
        survivors,
        message.total,
        index,
        cohort.graph.neighbours(index),
        _bitmap(masked.dealers, size),
        held,
        membership.roster_total,
        membership.params.threshold,
        membership.required_survivors,
    )
    answer = select_answer(held, survivors, masked.shares)
    fixed = Fixed(
        membership, masked.task_ctx, masked.dealers, masked.held, encode_bitmap(survivors), message.total, answer
    )
    return fixed, cohort


def _consistency_digest(fixed: Fixed, cohort: Cohort) -> bytes:
    return consistency_digest(cohort.params.suite, fixed.task_ctx, cohort.roster_hash, fixed.survivors, fixed.total)


def check_identity(policy: ClientPolicy, client: ClientId, identity: Identity | None) -> None:
    """Refuses an identity that the policy does not give for this client, or that its model does not use.

    Raises:
        InvalidInputError: the identity does not fit.
    """
    if policy.adversary is AdversaryModel.HONEST_BUT_CURIOUS:
        if identity is not None:
            raise InvalidInputError("identity", "one was given", "absent: HONEST_BUT_CURIOUS signs nothing")
        return
    if not isinstance(identity, Identity):
        raise InvalidInputError("identity", "none was given", "this client's Identity: the ACTIVE model signs")
    if policy.identities.get(client) != identity.public_key:
        raise InvalidInputError(
            "identity", f"the policy does not give its public key for client {client}", "this client's own identity"
        )
