"""Stage 0 on the client: two fresh key pairs, advertised."""

import secrets

from secagg.checks import check_client_id, check_type
from secagg.client.held import Advertised, Invited
from secagg.client.sharing_keys import SharingKeys
from secagg.client.state import ClientState
from secagg.errors import ClientId, InvalidInputError, PolicyViolationError
from secagg.params import AdversaryModel, SessionParams
from secagg.policy import ClientPolicy
from secagg.primitives.agreement import KEY_BYTES, KeyPair
from secagg.primitives.signing import Identity
from secagg.protocol.messages import AdvertiseKeys, largest_message_bytes
from secagg.protocol.transcript import SESSION_ID_BYTES, advertisement_digest, session_context


class AdvertisingKeys(ClientState[Invited]):
    """Stage 0. Construct it from what the server offers.

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

    __slots__ = ()

    def __init__(
        self,
        params: SessionParams,
        session_id: bytes,
        client: ClientId,
        policy: ClientPolicy,
        *,
        identity: Identity | None = None,
    ) -> None:
        client = check_client_id("client", client)
        if type(session_id) is not bytes or len(session_id) != SESSION_ID_BYTES:
            raise InvalidInputError("session_id", "wrong type or length", f"{SESSION_ID_BYTES} bytes")
        check_identity(policy, client, identity)
        policy.check(params)
        largest = largest_message_bytes(params)
        if largest > policy.max_message_bytes:
            raise PolicyViolationError("max_message_bytes", largest, policy.max_message_bytes)
        super().__init__(Invited(params, session_id, client, policy), identity)

    def advertise_keys(self) -> tuple[SharingKeys, AdvertiseKeys]:
        """Draws two key pairs and advertises their public halves."""
        return self._advertise_keys(secrets.token_bytes(2 * KEY_BYTES))

    def _advertise_keys(self, rand: bytes) -> tuple[SharingKeys, AdvertiseKeys]:
        invited = self._spend()
        params = invited.params
        # Bonawitz et al. 2017, figure 4, round 0, user: two key pairs, c_u to encrypt and s_u to mask. The public
        # halves go to the server, signed together with the long-term key d_u.
        seal, mask = KeyPair(rand[:KEY_BYTES]), KeyPair(rand[KEY_BYTES:])
        signature = b""
        if self._identity is not None:
            context = session_context(params, invited.session_id)
            digest = advertisement_digest(
                params.suite, context, client=invited.client, seal_key=seal.public, mask_key=mask.public
            )
            signature = self._identity.sign(digest)
        advertised = Advertised(invited, rand[:KEY_BYTES], rand[KEY_BYTES:], signature)
        return SharingKeys(advertised, self._identity), AdvertiseKeys(seal.public, mask.public, signature)


def check_identity(policy: ClientPolicy, client: ClientId, identity: Identity | None) -> None:
    """Refuses an identity that the policy does not give for this client, or that its model does not use.

    Raises:
        InvalidInputError: the identity does not fit.
        InvalidParameterError: the policy or the id is none.
    """
    check_type("policy", policy, ClientPolicy)
    client = check_client_id("client", client)
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
