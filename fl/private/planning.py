"""From what a user thinks in to a `PrivatePlan`, or to the reason why there is none."""

from collections.abc import Collection, Sequence
from typing import Final

from dp import SKELLAM, AdaptiveClipping, Adversary, DistributedPlan, Sampling, Unit
from dp import plan as plan_noise
from fl.arrays.schema import ArraySchema
from fl.arrays.statistics import check_declared
from fl.checks import check_integer, check_names, check_number, is_integer, plain
from fl.codecs.rotation import padded
from fl.cohort import threshold
from fl.errors import UnsafePlanError
from fl.private.plan import PrivatePlan
from fl.private.plan_checks import check_weight_cap
from fl.private.side_values import WEIGHT, SideValue, joint_factor
from secagg import MAX_COHORT_SIZE, AdversaryModel, Certificate, InvalidParameterError, SessionParams

__all__ = ["MAX_INFLATION", "make_plan"]

MAX_INFLATION: Final = 1.15
"""What rounding may add to the noise where the modulus is to be small. One bit more makes it a quarter of that."""

_WIDEST: Final = 64


def make_plan(
    *,
    scope: str,
    schema: ArraySchema,
    clients: int,
    max_dropouts: int,
    colluders: int,
    clip: float,
    epsilon: float,
    delta: float,
    rounds: int,
    modulus_bits: int | None = None,
    bytes_per_parameter: float | None = None,
    weight_cap: int = 1,
    weight_share: float = 0.5,
    side_values: Sequence[SideValue] = (),
    adaptive: AdaptiveClipping | None = None,
    unit: Unit = Unit.CLIENT,
    examples_per_client: int = 1,
    mechanism: str = SKELLAM,
    sampling: Sampling | None = None,
    privacy_against: Adversary = Adversary.PARTICIPANT,
    adversary: AdversaryModel = AdversaryModel.ACTIVE,
    certificate: Certificate | None = None,
    small_consortium: bool = False,
    averaged: Collection[str | int] = (),
) -> PrivatePlan:
    """Plans a private training.

    Args:
        scope: the name of the privacy budget: all releases about one population share it.
        schema: the arrays that a client sends, such as `ArraySchema.of(model)`; an update is their change.
        clients: how many are invited to a round.
        max_dropouts: how many of them may vanish. The noise is calibrated to those who are left.
        colluders: how many of all who may ever be invited may work with the server; their noise is not counted on.
            Whoever chooses a round's clients can choose all of these.
        clip: the L2 norm that an update is clipped to (of one example's gradient, where `unit` is an example).
        epsilon: for all rounds together.
        delta: for all rounds together.
        rounds: R.
        modulus_bits: bits for each coordinate on the wire; None is the fewest that rounding allows to add at most
            `MAX_INFLATION` to the noise.
        bytes_per_parameter: instead of `modulus_bits`: what the wire may take for each entry of the model.
        weight_cap: above 1 for a weighted mean: the largest weight of a client, public.
        weight_share: of the clip norm, for the weight: as in `SideValue`. The sum of the weights is the denominator and
            has noise too; a larger share means less of it there and more on the update.
        side_values: what else clients send, such as their loss.
        adaptive: lets the clip norm follow a quantile of the norms; begins with `clip`.
        unit: whose privacy: a client's, or that of each of a client's examples.
        examples_per_client: of examples, the most that a client has.
        mechanism: "skellam", or "distributed-discrete-gaussian".
        sampling: a secret sample of a fixed size that each round's clients are.
        privacy_against: PARTICIPANT is the server and everybody who saw a roster; OUTSIDER sees the releases only.
        adversary: what the sessions defend against.
        certificate: graph and threshold of a sparse session, as `secagg.choose` found them for `clients`; None is the
            complete graph.
        small_consortium: accept two honest survivors instead of three.
        averaged: the names of integer arrays and running statistics that are clipped and averaged with the weights.

    Raises:
        UndeclaredArraysError: the schema has such arrays, and they are not named: leave them out, or name them.
        UnsafePlanError: the combination would break its promise, and why.
        dp.InfeasiblePlanError: no noise or modulus keeps the promise, with the nearest that would.
        dp.InvalidParameterError, secagg.InvalidParameterError: a number is out of its range.

    Cost:
        Some tenths of a second.
    """
    scope, mechanism, small_consortium = plain(scope), plain(mechanism), plain(small_consortium)
    weight_cap = int(weight_cap) if is_integer(weight_cap) else weight_cap
    check_weight_cap(weight_cap)
    if not isinstance(schema, ArraySchema):
        raise InvalidParameterError("schema", type(schema).__name__, "an ArraySchema")
    if not isinstance(side_values, Sequence) or not all(isinstance(side, SideValue) for side in side_values):
        raise InvalidParameterError("side_values", type(side_values).__name__, "a sequence of SideValue")
    check_declared(schema, check_names("averaged", averaged))
    clip = check_number("clip", clip, low=0.0, open_low=True)
    colluders = check_integer("colluders", colluders, low=0, high=2**63)
    sides = tuple(side_values)
    if weight_cap > 1:
        sides = (*sides, SideValue(name=WEIGHT, low=0.0, high=float(weight_cap), share=weight_share))
    if adaptive is not None and adaptive.clip_norm != clip:
        raise UnsafePlanError("adaptive.clip_norm", adaptive.clip_norm, f"the first round's clip is {clip}")
    session = _session(
        clients=clients,
        max_dropouts=max_dropouts,
        colluders=colluders,
        adversary=adversary,
        certificate=certificate,
    )
    dimension = schema.size + len(sides)

    def noise(bits: int) -> DistributedPlan:
        return plan_noise(
            epsilon=epsilon,
            delta=delta,
            rounds=rounds,
            sampling=sampling,
            clip=clip * joint_factor(sides),
            dimension=dimension,
            clients=clients,
            min_survivors=session.min_survivors,
            colluders=colluders,
            modulus_bits=bits,
            mechanism=mechanism,
            adversary=privacy_against,
            unit=unit,
            vectors_per_client=examples_per_client,
            clip_bit_noise=None if adaptive is None else adaptive.bit_stddev,
            max_inflation=MAX_INFLATION,
        )

    if bytes_per_parameter is not None:
        modulus_bits = _bits(bytes_per_parameter, modulus_bits, size=schema.size, dimension=dimension)
    planned = noise(noise(_WIDEST).smallest_modulus_bits if modulus_bits is None else modulus_bits)
    return PrivatePlan(
        scope=scope,
        schema=schema,
        noise=planned,
        session=SessionParams(
            cohort_size=clients,
            threshold=session.threshold,
            neighbours=session.neighbours,
            vector_length=planned.noisy_coordinates,
            modulus_bits=planned.modulus_bits,
            adversary=session.adversary,
            min_survivors=session.min_survivors,
        ),
        clip=clip,
        weight_cap=weight_cap,
        side_values=sides,
        adaptive=adaptive,
        small_consortium=small_consortium,
    )


def _session(
    *, clients: int, max_dropouts: int, colluders: int, adversary: AdversaryModel, certificate: Certificate | None
) -> SessionParams:
    """Returns graph, threshold and minimum of survivors; vector and modulus are still to be filled in."""
    clients = check_integer("clients", clients, low=3, high=MAX_COHORT_SIZE)
    max_dropouts = check_integer("max_dropouts", max_dropouts, low=0, high=clients - 1)
    if 2 * colluders >= clients:
        raise UnsafePlanError("colluders", colluders, f"no session holds against half of its {clients} clients")
    survivors = clients - max_dropouts
    if certificate is not None:
        if certificate.clients != clients or certificate.adversary is not adversary:
            offered = f"for {certificate.clients} clients, {certificate.adversary.name}"
            raise UnsafePlanError("certificate", offered, f"the sessions are of {clients} clients, {adversary.name}")
        params = certificate.session_params(vector_length=1, modulus_bits=1, min_survivors=survivors)
    else:
        params = SessionParams(
            cohort_size=clients,
            threshold=threshold(clients=clients, max_dropouts=max_dropouts, colluders=colluders, adversary=adversary),
            vector_length=1,
            modulus_bits=1,
            adversary=adversary,
            min_survivors=survivors,
        )
    if params.min_survivors > survivors:
        most = clients - params.min_survivors
        fewest = params.min_survivors
        why = f"with {colluders} colluders a session takes at least {fewest} survivors: at most {most} may vanish"
        raise UnsafePlanError("max_dropouts", max_dropouts, why)
    return params


def _bits(bytes_per_parameter: float, modulus_bits: int | None, *, size: int, dimension: int) -> int:
    """Returns the bits for each coordinate of the rotated vector, which is longer than the model."""
    if modulus_bits is not None:
        raise UnsafePlanError("bytes_per_parameter", bytes_per_parameter, "modulus_bits says the same already")
    bits = 8 * check_number("bytes_per_parameter", bytes_per_parameter, low=0.0) * size / padded(dimension)
    if bits < 1:
        raise UnsafePlanError("bytes_per_parameter", bytes_per_parameter, "that is less than a bit for each coordinate")
    return int(min(_WIDEST, bits))
