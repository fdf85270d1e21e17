"""Stage 1 on the client: checks the roster, deals shares of both secrets."""

import secrets

from secagg.client.checks import check_roster
from secagg.client.held import Advertised, Membership, Shared
from secagg.client.masking_input import MaskingInput
from secagg.client.state import ClientState
from secagg.errors import SERVER
from secagg.primitives.agreement import KeyPair
from secagg.protocol.cohort import Cohort
from secagg.protocol.dealing import SEED_BYTES, deal, dealing_rand_bytes
from secagg.protocol.messages import KeyRoster, ShareKeys
from secagg.protocol.roster import RosterEntry, decode_roster
from secagg.protocol.transcript import session_context


class SharingKeys(ClientState[Advertised]):
    """Stage 1: checks the roster, deals shares of both secrets to every neighbour."""

    __slots__ = ()

    def share_keys(self, roster: KeyRoster) -> tuple[MaskingInput, ShareKeys]:
        """Checks the roster and deals.

        Raises:
            MalformedMessageError: wrong lengths; the state stays usable.
            InconsistentServerError, PolicyViolationError, AuthenticationError: final.
        """
        params = self._peek().invited.params
        return self._share_keys(roster, secrets.token_bytes(dealing_rand_bytes(params.neighbours)))

    def _share_keys(self, message: KeyRoster, rand: bytes) -> tuple[MaskingInput, ShareKeys]:
        params = self._peek().invited.params
        message.require_lengths(SERVER, params, params.cohort_size)
        advertised = self._spend()
        invited = advertised.invited
        policy = invited.policy

        # Bonawitz et al. 2017, figure 4, round 1, user: assert that |U1| >= t, that all public keys are different, and
        # that every signature verifies. Bell et al. 2020, algorithm 2: the roster fixes everyone's neighbours.
        seal, mask = KeyPair(advertised.seal_private), KeyPair(advertised.mask_private)
        own = RosterEntry(invited.client, seal.public, mask.public, advertised.signature)
        roster = decode_roster(message.entries, params)
        check_roster(
            params,
            session_context(params, invited.session_id),
            roster=roster,
            total=message.total,
            own=own,
            policy=policy,
        )

        # Ibid.: sample the seed b_u, split s_u and b_u t-out-of-N(u), encrypt each neighbour's pair of shares to it.
        cohort = Cohort(params, invited.session_id, roster)
        index = roster.index[invited.client]
        table, opening_keys = deal(cohort, index, seal=seal, mask_private=advertised.mask_private, rand=rand)
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
        shared = Shared(membership, advertised.mask_private, seed, opening_keys)
        return MaskingInput(shared, self._identity), ShareKeys(table, cohort.self_mask_commitment(index, seed))
