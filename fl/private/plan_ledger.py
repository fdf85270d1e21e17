"""What a ledger says of a private plan: the budget in its header, and the record of each round."""

from fractions import Fraction

from dp import Header, Reserve
from fl.private.plan_record import PlanRecord

__all__ = ["plan_header", "plan_reserve"]


def plan_header(plan: PlanRecord, key: bytes | None = None) -> Header:
    """Returns the header of a ledger for this plan alone; `key` is the public key that signs it."""
    noise = plan.noise
    return Header(
        scope=plan.scope,
        unit=noise.unit,
        relation=noise.relation,
        delta=noise.delta,
        budget=noise.target_epsilon,
        adversary=noise.adversary,
        colluders=noise.colluders,
        key=key,
    )


def plan_reserve(
    plan: PlanRecord, *, round_number: int, session_id: bytes, clip: float, context: bytes, roster: bytes
) -> Reserve:
    """Returns a round's record, in which only the claimed epsilon is missing."""
    noise = plan.noise
    return Reserve(
        round=round_number,
        session=session_id,
        mechanism=noise.mechanism,
        sampling=noise.sampling,
        invited=noise.clients,
        min_survivors=noise.min_survivors,
        threshold=plan.session.threshold,
        squared_norm_bound=noise.squared_norm_bound,
        l1_bound=noise.l1_bound,
        dimension=noise.padded_dimension,
        modulus_bits=noise.modulus_bits,
        local_variance=noise.local_variance,
        clip_bit_variance=noise.clip_bit_variance,
        context=context,
        roster=roster,
        clip_norm=Fraction(plan.joint_clip(clip)),
        scale=Fraction(plan.scale(clip)),
        rounding=noise.beta,
    )
