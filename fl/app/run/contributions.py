"""What a client hands in, checked and copied before its round begins: a mistake found later would cost the round."""

import numpy as np

from dp import Unit
from fl.app.run.plain_plan import PlainPlan
from fl.arrays.flatten import flatten, restore
from fl.arrays.schema import Arrays, ArraySchema
from fl.checks import is_integer
from fl.private import Contribution, PrivatePlan
from fl.private.side_values import WEIGHT, scaled_side_values
from secagg import InvalidInputError

__all__ = ["checked_plain", "checked_private"]


def checked_plain(contribution: Contribution, plan: PlainPlan) -> Contribution:
    """Returns a copy of what `WeightedMean` and `ValueSums` will accept.

    Raises:
        SchemaMismatchError: the arrays are not the model's.
        InvalidInputError: an entry is not finite, the weight is out of range, or the side values are not as declared.
    """
    sides = contribution.side_values
    update = _checked_update(contribution, plan.schema)
    weight = _checked_weight(contribution.weight, plan.weight_cap)
    return Contribution(update, weight, plan.values.check({} if sides is None else sides))


def checked_private(contribution: Contribution, plan: PrivatePlan, clip: float) -> Contribution:
    """Returns a copy of what `PrivateVector` will accept.

    Args:
        contribution: what the client handed in.
        plan: the training's.
        clip: the round's clip norm.

    Raises:
        SchemaMismatchError: the arrays are not the model's.
        InvalidInputError: an entry is not finite, or weight, side values or examples are not what the plan declares.
    """
    if plan.noise.unit is Unit.EXAMPLE:
        return _checked_examples(plan, contribution)
    update = _checked_update(contribution, plan.schema)
    weight = _checked_weight(contribution.weight, plan.weight_cap)
    sides = contribution.side_values
    declared = tuple(side for side in plan.side_values if side.name != WEIGHT)
    scaled_side_values(declared, {} if sides is None else sides, clip)
    return Contribution(update, weight, dict(sides or {}))


def _checked_update(contribution: Contribution, schema: ArraySchema) -> Arrays:
    if contribution.update is None or contribution.examples is not None:
        raise InvalidInputError("update", "none is given, or examples are", "one update: this run protects clients")
    return restore(flatten(contribution.update, schema), schema)


def _checked_examples(plan: PrivatePlan, contribution: Contribution) -> Contribution:
    examples = contribution.examples
    if contribution.update is not None or examples is None:
        raise InvalidInputError("examples", "none are given, or an update is", "the updates of single examples")
    if contribution.weight != 1 or contribution.side_values:
        raise InvalidInputError("weight", "given with examples, or side values are", "left out with examples")
    if len(examples) > plan.noise.vectors_per_client:
        raise InvalidInputError("examples", "there are too many", f"at most {plan.noise.vectors_per_client}")
    copied = np.empty((len(examples), plan.schema.size))
    if isinstance(examples, np.ndarray):
        if examples.dtype != np.float64 or examples.shape != copied.shape:
            raise InvalidInputError("examples", f"{examples.dtype} {examples.shape}", f"float64 {copied.shape}")
        copied[:] = examples
    else:
        for place, example in enumerate(examples):
            copied[place] = flatten(example, plan.schema)
    if not np.isfinite(copied).all():
        raise InvalidInputError("examples", "NaN or infinity is among them", "finite")
    return Contribution(examples=copied)


def _checked_weight(weight: object, cap: int) -> int:
    if not is_integer(weight) or not 0 <= weight <= cap:
        # The text does not tell the weight, which is secret.
        raise InvalidInputError("weight", "no int in the range of weights", f"an int from 0 to weight_cap, {cap}")
    return int(weight)
