"""From a configuration to the plan of the run, and whether it is still the plan that the run began with."""

import json
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from dp import AdaptiveClipping, DPError, Unit
from fl.app.run.config import AdaptiveTable, PlainTable, PrivacyTable, RunConfig
from fl.app.run.plain_plan import PlainPlan
from fl.arrays.schema import ArraySchema
from fl.errors import PlanMismatchError
from fl.private import PrivatePlan, SideValue, make_plan
from fl.private.side_values import WEIGHT
from secagg import AdversaryModel, InvalidParameterError, SecAggError, SessionParams

__all__ = ["RunPlan", "check_same_plan", "plan_run"]

RunPlan: TypeAlias = PrivatePlan | PlainPlan

_ADVERSARIES: Final = {"active": AdversaryModel.ACTIVE, "curious": AdversaryModel.HONEST_BUT_CURIOUS}
_USUAL_SHARE: Final = 20
"""The noise of the clip bits is a twentieth of the clients (Andrew et al. 2021, section 3)."""

_ASKED: Final = (
    "schema",
    "scope",
    "noise.unit",
    "noise.target_epsilon",
    "noise.delta",
    "noise.rounds",
    "rounds",
    "clip",
    "weight_cap",
    "noise.clients",
    "clients",
    "noise.min_survivors",
    "max_dropouts",
    "noise.colluders",
    "colluders",
    "adversary",
    "session.adversary",
    "small_consortium",
    "noise.mechanism",
    "noise.vectors_per_client",
    "side_values",
    "clips",
    "adaptive",
    "model",
    "modulus_bits",
    "noise.modulus_bits",
)
"""What a user asks for, which is told before what follows from it."""


def plan_run(config: RunConfig, schema: ArraySchema, clients: int) -> RunPlan:
    """Returns the plan that a configuration asks for.

    Args:
        config: what was read.
        schema: of an update.
        clients: how many the study has.

    Raises:
        RunConfigError: there is no such plan, and why.
    """
    session, privacy, plain = config.session, config.privacy, config.plain
    adversary = _ADVERSARIES[session.adversary]
    try:
        if plain is not None:
            return PlainPlan(
                schema=schema,
                clients=clients,
                max_dropouts=session.max_dropouts,
                colluders=session.colluders,
                rounds=config.training.rounds,
                clip=plain.clip,
                weight_cap=plain.weight_cap,
                modulus_bits=plain.modulus_bits,
                adversary=adversary,
                small_consortium=session.small_consortium,
                clips=_names_of(schema, plain.clips),
                ranges=_ranges(plain),
            )
        if privacy is None:  # pragma: no cover - a configuration has one of the two
            raise TypeError("a configuration without [privacy] and [plain]")
        return make_plan(
            scope=privacy.scope,
            schema=schema,
            # What is declared was checked where the model was read, with the dtypes of its arrays.
            averaged=[entry.name for entry in schema.entries],
            clients=clients,
            max_dropouts=session.max_dropouts,
            colluders=session.colluders,
            clip=privacy.clip,
            epsilon=privacy.epsilon,
            delta=privacy.delta,
            rounds=config.training.rounds,
            modulus_bits=privacy.modulus_bits,
            bytes_per_parameter=privacy.bytes_per_parameter,
            weight_cap=privacy.weight_cap,
            weight_share=privacy.weight_share,
            side_values=_side_values(privacy),
            adaptive=None if privacy.adaptive is None else _adaptive(privacy.adaptive, privacy.clip, clients),
            unit=Unit(privacy.unit),
            examples_per_client=privacy.examples_per_client,
            mechanism=privacy.mechanism,
            adversary=adversary,
            small_consortium=session.small_consortium,
        )
    except (SecAggError, DPError) as error:
        raise config.refused(error) from error


def check_same_plan(stored: str, plan: RunPlan) -> None:
    """Checks that a plan is the stored one.

    Args:
        stored: the text that the run began with.
        plan: made from the configuration as it is now.

    Raises:
        PlanMismatchError: it is another one; the first figure that differs is named, what was asked for before what
            follows from it.
    """
    text = plan.to_json()
    if stored == text:
        return
    try:
        theirs = _flat(json.loads(stored))
    except (ValueError, TypeError, RecursionError, SecAggError):
        raise PlanMismatchError("plan.json", "a damaged file", "the one that the run began with") from None
    ours = _flat(json.loads(text))
    differing = [name for name in sorted(theirs.keys() | ours.keys()) if theirs.get(name) != ours.get(name)]
    if not differing:
        raise PlanMismatchError("plan.json", "the same figures in another form", "the file that the run began with")
    name = min(differing, key=lambda one: _ASKED.index(one) if one in _ASKED else len(_ASKED))
    raise PlanMismatchError(name, ours.get(name), f"{theirs.get(name)}, with which the run began")


def _names_of(schema: ArraySchema, clips: Mapping[str, float]) -> dict[str | int, float]:
    """Returns the clips by the names of a schema: in a list of arrays these are numbers, as no key of TOML is."""
    names = {str(entry.name): entry.name for entry in schema.entries}
    return {names.get(name, name): clip for name, clip in clips.items()}


def _ranges(plain: PlainTable) -> tuple[tuple[str, tuple[float, float]], ...]:
    if any(side.name == WEIGHT for side in plain.side_values):
        raise InvalidParameterError("side_values", WEIGHT, "another name: the sum of the weights is there by itself")
    return tuple((side.name, (side.low, side.high)) for side in plain.side_values)


def _side_values(privacy: PrivacyTable) -> Sequence[SideValue]:
    return [SideValue(name=side.name, low=side.low, high=side.high, share=side.share) for side in privacy.side_values]


def _adaptive(table: AdaptiveTable, clip: float, clients: int) -> AdaptiveClipping:
    limits = {name: value for name in ("smallest", "largest") if (value := getattr(table, name)) is not None}
    return AdaptiveClipping(
        clip_norm=clip,
        bit_stddev=clients / _USUAL_SHARE if table.bit_stddev is None else table.bit_stddev,
        quantile=table.quantile,
        learning_rate=table.learning_rate,
        **limits,
    )


def _flat(raw: object) -> dict[str, str]:
    """Returns the figures of a plan's JSON by dotted names."""
    figures: dict[str, str] = {}
    if not isinstance(raw, dict):
        raise TypeError("a plan is an object")
    for name, value in raw.items():
        if name == "session":
            params = SessionParams.decode(bytes.fromhex(value))
            inner = {field: str(getattr(params, field)) for field in SessionParams.__dataclass_fields__}
        elif isinstance(value, dict):
            inner = {key: str(part) for key, part in value.items()}
        else:
            figures[name] = str(value)
            continue
        figures |= {f"{name}.{key}": text for key, text in inner.items()}
    return figures
