"""Stage 2 on the client: opens what was delivered, masks the vector."""

from concurrent.futures import Executor

import numpy as np
import numpy.typing as npt

from secagg.client.awaiting_survivors import AwaitingSurvivors
from secagg.client.checking_consistency import CheckingConsistency
from secagg.client.checks import check_dealers
from secagg.client.held import Masked, Membership, Place, Shared
from secagg.client.state import ClientState, Vector
from secagg.errors import SERVER, InvalidInputError, MalformedMessageError
from secagg.params import SessionParams
from secagg.primitives.agreement import KeyPair
from secagg.primitives.bitmap import encode_bitmap
from secagg.primitives.masking import apply_masks, reduce_to_modulus
from secagg.primitives.packing import pack
from secagg.primitives.prg import word_dtype
from secagg.primitives.signing import Identity
from secagg.protocol.dealing import count_records, open_delivery
from secagg.protocol.messages import SHARE_RECORD_BYTES, MaskedInput, ShareDelivery
from secagg.protocol.transcript import MODEL_DIGEST_BYTES, NO_MODEL, task_digest


class MaskingInput(ClientState[Shared]):
    """Stage 2: opens what was delivered, masks the vector."""

    __slots__ = ("_known_place",)

    def __init__(self, held: Shared, identity: Identity | None = None) -> None:
        super().__init__(held, identity)
        self._known_place: Place | None = None

    def mask_input(
        self,
        shares: ShareDelivery,
        vector: Vector,
        model_digest: bytes = NO_MODEL,
        *,
        executor: Executor | None = None,
    ) -> tuple[CheckingConsistency | AwaitingSurvivors, MaskedInput]:
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
        # Garbage spends nothing, so it may come often: from cheap to dear, and what is dear only once.
        shares.require_lengths(SERVER, params, membership.size)
        if type(model_digest) is not bytes or len(model_digest) != MODEL_DIGEST_BYTES:
            raise InvalidInputError("model_digest", "wrong type or length", f"{MODEL_DIGEST_BYTES} bytes")
        place = self._place(membership)
        cohort, index = place.cohort, place.index
        dealers = place.members(shares.dealers)
        records = count_records(cohort, index, dealers)
        if len(shares.table) != records * SHARE_RECORD_BYTES:
            raise MalformedMessageError(SERVER, f"ShareDelivery: table is not the {records} records of the dealers")
        words = _words(vector, params)
        shared = self._spend()

        # Bonawitz et al. 2017, figure 4, round 2, user: infer U2 from the ciphertexts; abort if they are fewer than t.
        # They are opened here and not in its round 4, so that a seal that does not open is reported in time.
        check_dealers(dealers, index=index, neighbours=place.neighbours, threshold=params.threshold)
        held, pairs = open_delivery(
            cohort, index, dealers=dealers, opening_keys=shared.opening_keys, table=shares.table
        )

        # Ibid.: y_u = x_u + PRG(b_u) + the sum over v in U2 of +-PRG(s_uv), modulo R. Bell et al. 2020: over N(u) only.
        task_ctx = cohort.task_context(model_digest, dealers=shares.dealers)
        key = KeyPair(shared.mask_private)
        add = [cohort.self_mask(index, seed=shared.self_mask_seed, task_ctx=task_ctx)]
        subtract: list[bytes] = []
        peers = place.neighbours[dealers[place.neighbours]]
        for peer in peers.tolist():
            (add if index < peer else subtract).append(cohort.pairwise_mask(index, key, peer=peer, task_ctx=task_ctx))
        apply_masks(words, add=add, subtract=subtract, suite=params.suite, executor=executor)
        reduce_to_modulus(words, params.modulus_bits)

        unopened = np.zeros(place.size, np.bool_)
        unopened[peers] = ~held[peers]
        message = MaskedInput(
            memoryview(pack(words, params.modulus_bits)), encode_bitmap(unopened), task_digest(params.suite, task_ctx)
        )
        masked = Masked(membership, task_ctx, shares.dealers, encode_bitmap(held), pairs)
        if params.active:
            return CheckingConsistency(masked, self._identity), message
        return AwaitingSurvivors(masked), message

    def _place(self, membership: Membership) -> Place:
        """Returns roster and graph, in a large cohort by far the dearest step before the state is spent."""
        if self._known_place is None:
            self._known_place = membership.place()
        return self._known_place


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
