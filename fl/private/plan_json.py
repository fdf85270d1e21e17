"""A private plan as canonical JSON, which its digest hashes: sorted keys, no spaces, ASCII, rationals as "p/q"."""

import json
from typing import Final

from dp import AdaptiveClipping, DistributedPlan
from fl.arrays.schema import ArraySchema
from fl.errors import PlanMismatchError
from fl.private.plan_record import PlanRecord
from fl.private.side_values import SideValue
from secagg import SessionParams

__all__ = ["decode_plan", "encode_plan"]

_SCHEMA: Final = "private-plan/2"

_ADAPTIVE: Final = ("clip_norm", "bit_stddev", "quantile", "learning_rate", "smallest", "largest")


def encode_plan(plan: PlanRecord) -> str:
    """Returns the plan's text; equal plans have equal texts."""
    adaptive = None
    if plan.adaptive is not None:
        adaptive = {name: _exact(getattr(plan.adaptive, name)) for name in _ADAPTIVE}
    raw = {
        "schema": _SCHEMA,
        "scope": plan.scope,
        "model": plan.schema.digest.hex(),
        "noise": plan.noise.to_dict(),
        "session": plan.session.encode().hex(),
        "clip": _exact(plan.clip),
        "weight_cap": plan.weight_cap,
        "side_values": [
            [side.name, _exact(side.low), _exact(side.high), _exact(side.share)] for side in plan.side_values
        ],
        "adaptive": adaptive,
        "small_consortium": plan.small_consortium,
    }
    return json.dumps(raw, ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"))


def decode_plan(raw: object, schema: ArraySchema) -> PlanRecord:
    """Returns the fields of a plan, not yet checked against each other.

    Args:
        raw: what `json.loads` made of the text.
        schema: of this party's own model.

    Raises:
        PlanMismatchError: other fields, or a plan for another model.
        ValueError, KeyError, TypeError, AttributeError, ArithmeticError: a field is not as `encode_plan` writes it.
    """
    fields = {"schema", "scope", "model", "noise", "session", "clip", "weight_cap", "side_values", "adaptive"}
    if not isinstance(raw, dict) or raw.keys() != fields | {"small_consortium"} or raw["schema"] != _SCHEMA:
        raise PlanMismatchError("text", "other fields", f"those of {_SCHEMA}")
    if raw["model"] != schema.digest.hex():
        raise PlanMismatchError("model", str(raw["model"])[:64], schema.digest.hex())
    noise, sides, adaptive = raw["noise"], raw["side_values"], raw["adaptive"]
    if not isinstance(noise, dict) or not isinstance(sides, list) or not isinstance(adaptive, dict | None):
        raise PlanMismatchError("text", "fields of other types", f"those of {_SCHEMA}")
    return PlanRecord(
        scope=_text(raw["scope"]),
        schema=schema,
        noise=DistributedPlan.from_dict(noise),
        session=SessionParams.decode(bytes.fromhex(_text(raw["session"]))),
        clip=_float(_text(raw["clip"])),
        weight_cap=_whole(raw["weight_cap"]),
        side_values=tuple(
            SideValue(name=_text(name), low=_float(low), high=_float(high), share=_float(share))
            for name, low, high, share in sides
        ),
        adaptive=None
        if adaptive is None
        else AdaptiveClipping(**{name: _float(adaptive.pop(name)) for name in _ADAPTIVE}, **adaptive),
        small_consortium=raw["small_consortium"] is True,
    )


def _exact(number: float) -> str:
    numerator, denominator = number.as_integer_ratio()
    return f"{numerator}/{denominator}"


def _float(text: str) -> float:
    numerator, denominator = text.split("/")
    return int(numerator) / int(denominator)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError("not an integer")
    return value
