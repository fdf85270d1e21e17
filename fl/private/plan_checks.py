"""Whether the parts of a private plan fit each other: a function a part, which names the first thing that is wrong."""

import math

from dp import InvalidParameterError, Unit
from dp.ledger import NO_HEAD, encode
from dp.mechanisms import CLIP_RANGE
from fl.cohort import SAMPLE_IDENTITY
from fl.errors import UnsafePlanError
from fl.private.plan_ledger import plan_header
from fl.private.plan_policy import client_policy
from fl.private.plan_record import MAX_WEIGHT, PlanRecord
from fl.private.side_values import WEIGHT
from secagg import AdversaryModel, PolicyViolationError
from secagg import InvalidParameterError as SessionParameterError

__all__ = ["check_noise", "check_session", "check_vector", "check_weight_cap"]


def check_weight_cap(weight_cap: object) -> None:
    """Checks that the largest weight of a client is a public number.

    Raises:
        UnsafePlanError: it is none, or too large for a float to hold every weight.
    """
    if type(weight_cap) is not int or not 1 <= weight_cap <= MAX_WEIGHT:
        why = "weights need a public cap, an int from 1 to 2**53: without one nothing bounds what a client changes"
        raise UnsafePlanError("weight_cap", weight_cap, why)


def check_vector(plan: PlanRecord) -> None:
    """Checks that model, weights, side values and clip norms are those that the noise was planned for.

    Raises:
        UnsafePlanError: they are not.
    """
    noise = plan.noise
    check_weight_cap(plan.weight_cap)
    weighted = [side for side in plan.side_values if side.name == WEIGHT]
    if (plan.weight_cap > 1) is not bool(weighted) or any((s.low, s.high) != (0.0, plan.weight_cap) for s in weighted):
        raise UnsafePlanError(
            "side_values", WEIGHT, "it is declared if and only if weight_cap is above 1, from 0 to it"
        )
    if noise.unit is Unit.EXAMPLE and plan.side_values:
        why = "a weight or side value is a client's: in a plan for single examples it would be released without noise"
        raise UnsafePlanError("side_values", [side.name for side in plan.side_values], why)
    if noise.dimension != plan.schema.size + len(plan.side_values):
        expected = plan.schema.size + len(plan.side_values)
        raise UnsafePlanError("noise.dimension", noise.dimension, f"model and side values have {expected} entries")
    joint = plan.joint_clip(plan.clip)
    if not math.isclose(float(noise.clip), joint, rel_tol=1e-12):
        raise UnsafePlanError("noise.clip", float(noise.clip), f"update and side values together have the norm {joint}")
    if (noise.clip_bit_variance is None) is not (plan.adaptive is None):
        raise UnsafePlanError("adaptive", plan.adaptive, "the noise of its bits has to be in the noise's plan")
    if plan.adaptive is not None and not CLIP_RANGE[0] <= plan.joint_clip(plan.adaptive.largest) <= CLIP_RANGE[1]:
        why = "with the side values it leaves the range of floats: choose a smaller largest clip norm"
        raise UnsafePlanError("adaptive.largest", plan.adaptive.largest, why)
    if plan.adaptive is not None and plan.adaptive.clip_norm != plan.clip:
        raise UnsafePlanError("adaptive.clip_norm", plan.adaptive.clip_norm, f"the first round's clip is {plan.clip}")


def check_noise(plan: PlanRecord) -> None:
    """Checks that a ledger can count the rounds, that the promise follows from the noise, and that no sum wraps.

    Raises:
        UnsafePlanError: they do not.
    """
    noise = plan.noise
    try:
        encode(plan_header(plan), NO_HEAD)
        noise.verify()
    except InvalidParameterError as error:
        raise UnsafePlanError(error.parameter, error.offered, f"it must be {error.allowed}") from error


def check_session(plan: PlanRecord) -> None:
    """Checks that a session has the noise's numbers, and that clients would take part and help to unmask.

    Raises:
        UnsafePlanError: it has not, or they would not.
    """
    params, noise = plan.session, plan.noise
    if params.min_survivors != noise.min_survivors:
        why = f"the noise is calibrated to {noise.min_survivors}: fewer would break the promise, more waste utility"
        raise UnsafePlanError("min_survivors", params.min_survivors, why)
    for name, ours in (
        ("cohort_size", noise.clients),
        ("vector_length", noise.noisy_coordinates),
        ("modulus_bits", noise.modulus_bits),
    ):
        if getattr(params, name) != ours:
            raise UnsafePlanError(name, getattr(params, name), f"the noise was planned for {ours}")
    if params.round_number != 0 or params.application:
        raise UnsafePlanError("session", "a round's", "a plan has the parameters that its rounds have in common")
    key = {0: SAMPLE_IDENTITY} if params.adversary is AdversaryModel.ACTIVE else {}
    try:
        policy = client_policy(plan, params, key)
        policy.check(params)
    except PolicyViolationError as error:
        why = f"no client would take part; it accepts {error.accepted}"
        raise UnsafePlanError(error.rule, error.offered, why) from error
    except SessionParameterError as error:
        raise UnsafePlanError(error.parameter, error.offered, f"it must be {error.allowed}") from error
    required = policy.required_survivors(params)
    if required > params.min_survivors:
        why = f"no client would help to release the sum; it insists on {required}, for the honest ones among them"
        raise UnsafePlanError("min_survivors", params.min_survivors, why)
