"""FedProx on the client: what holds local training near the global model.

Each client minimises its own loss plus mu/2 * ||w - w_global||^2, the sum running over all its trained arrays
(Li et al. 2020, "Federated Optimization in Heterogeneous Networks", section 3.2, equation 2). The server needs
nothing new: it averages as ever, and mu = 0 is plain federated averaging.

In a training loop, on the arrays that are trained:

    gradients = ...                                        # of the local loss at `local`
    pull = proximal_gradient(local, global_model, mu)      # added array by array before the step
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fl.arrays.flatten import flatten, restore
from fl.arrays.schema import Arrays, ArraySchema, NamedArrays
from fl.checks import check_number
from fl.errors import SchemaMismatchError
from fl.fedavg import delta_schema
from fl.float_events import ignoring
from secagg import InvalidInputError

__all__ = ["proximal_gradient", "proximal_penalty"]


@ignoring("under")
def proximal_penalty(local: Arrays, global_model: Arrays, mu: float) -> float:
    """Returns mu/2 * ||local - global||^2, to be added to the local loss.

    Args:
        local: the trained arrays as they are now, floats.
        global_model: what the client started from, of the same schema.
        mu: the strength of the pull, finite and at least 0.

    Raises:
        InvalidParameterError: mu is out of its range.
        SchemaMismatchError: the two differ in names, shapes or dtypes, or an array holds integers.
        InvalidInputError: a value is not finite, or the penalty leaves the range of float64.
    """
    mu = check_number("mu", mu, low=0.0)
    _, difference = _difference(local, global_model)
    with np.errstate(over="ignore", invalid="ignore"):
        penalty = mu / 2 * float(difference @ difference)
    if not math.isfinite(penalty):
        raise InvalidInputError("local", "its penalty leaves the range of float64", "closer to the global model")
    return penalty


@ignoring("under")
def proximal_gradient(local: Arrays, global_model: Arrays, mu: float) -> NamedArrays:
    """Returns mu * (local - global), the gradient of the penalty, to be added to the local gradients.

    Args:
        local: the trained arrays as they are now, floats.
        global_model: what the client started from, of the same schema.
        mu: the strength of the pull, finite and at least 0.

    Returns:
        New float64 arrays in the container of the models; neither model is changed.

    Raises:
        InvalidParameterError: mu is out of its range.
        SchemaMismatchError: the two differ in names, shapes or dtypes, or an array holds integers.
        InvalidInputError: a value is not finite, or the gradient leaves the range of float64.
    """
    mu = check_number("mu", mu, low=0.0)
    schema, difference = _difference(local, global_model)
    # An overflow becomes infinity, and infinity times a mu of 0 NaN: restore refuses both with the array's name.
    with np.errstate(over="ignore", invalid="ignore"):
        difference *= mu
    return restore(difference, delta_schema(schema))


def _difference(local: Arrays, global_model: Arrays) -> tuple[ArraySchema, npt.NDArray[np.float64]]:
    schema = ArraySchema.of(global_model)
    for entry in schema.entries:
        if not entry.is_float:
            raise SchemaMismatchError(
                f"dtype of array {entry.name!r}", str(entry.dtype), "floats: hand in the trained arrays only"
            )
    difference: npt.NDArray[Any] = flatten(local, schema)
    with np.errstate(over="ignore"):
        difference -= flatten(global_model, schema)
    return schema, difference
