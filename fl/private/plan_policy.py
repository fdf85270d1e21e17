"""What a client accepts under a private plan: the plan's session, and no other."""

from collections.abc import Mapping

from fl.private.plan_record import PlanRecord
from secagg import ClientId, ClientPolicy, SessionParams

__all__ = ["client_policy"]


def client_policy(plan: PlanRecord, params: SessionParams, identities: Mapping[ClientId, bytes]) -> ClientPolicy:
    """Returns the policy for a round's session.

    Args:
        plan: the training's.
        params: of the round's session.
        identities: every client's public key; empty where the plan does not defend against a lying server.
    """
    return ClientPolicy(
        identities=identities,
        adversary=params.adversary,
        min_cohort=plan.min_survivors,
        max_cohort=plan.clients,
        corrupt_clients=plan.noise.colluders,
        min_survivors=plan.min_survivors,
        small_consortium=plan.small_consortium,
        vector_length=params.vector_length,
        modulus_bits=params.modulus_bits,
        application=params.application,
        round_number=params.round_number,
        # The plan fixes the sizes of all messages, and whoever agrees to it bears them.
        max_message_bytes=2**62,
    )
