"""Federated averaging (McMahan et al. 2017, Algorithm 1) as pure functions of models.

A model is a list or dict of numpy arrays. What travels is its *delta*, which is small and centred on
zero and so makes the best of a clip. Deltas are float64 whatever the model's dtypes: a difference of
unsigned integers can be negative, and one of float16 need not be a float16.
"""

import numpy as np

from fl.arrays.flatten import flatten, restore
from fl.arrays.schema import Arrays, ArraySchema, ArraySpec, NamedArrays
from fl.checks import check_number
from fl.float_events import ignoring

__all__ = ["apply", "client_delta", "delta_schema"]


def delta_schema(model: ArraySchema) -> ArraySchema:
    """Returns the schema of the deltas of a model: the same names and shapes, all float64."""
    float64 = np.dtype(np.float64)
    return ArraySchema(model.kind, tuple(ArraySpec(entry.name, entry.shape, float64) for entry in model.entries))


@ignoring("under")
def client_delta(global_model: Arrays, local_model: Arrays) -> NamedArrays:
    """Returns local minus global, which a client encodes.

    Args:
        global_model: what the client started from.
        local_model: what it has after training, of the same schema.

    Returns:
        float64 arrays in the container of the models; neither model is changed.

    Raises:
        SchemaMismatchError: the two models differ in names, shapes or dtypes.
        InvalidInputError: a value is not finite or no exact float64.
    """
    schema = ArraySchema.of(global_model)
    difference = flatten(local_model, schema)
    # An overflow becomes infinity, which restore refuses with the array's name.
    with np.errstate(over="ignore"):
        difference -= flatten(global_model, schema)
    return restore(difference, delta_schema(schema))


@ignoring("under")
def apply(
    global_model: Arrays, mean_delta: Arrays, learning_rate: float = 1.0, *, tolerance: float = 0.0
) -> NamedArrays:
    """Returns the next global model: global + learning_rate * mean delta.

    Args:
        global_model: the model that the clients started from.
        mean_delta: the decoded mean of their deltas, float64.
        learning_rate: the server's; 1 is plain federated averaging.
        tolerance: by how much the step may be off, as in `fl.restore`: a value at the end of its dtype's range stays
            there where rounding or noise alone moved it out.

    Returns:
        New arrays in the model's container, shapes and dtypes; integers are rounded half to even.

    Raises:
        SchemaMismatchError: the delta does not belong to the model.
        InvalidInputError: the sum is out of the range of an array's dtype by more than the tolerance.
        InvalidParameterError: the learning rate is no finite number, or the tolerance none from 0 on.
    """
    learning_rate = check_number("learning_rate", learning_rate)
    schema = ArraySchema.of(global_model)
    step = flatten(mean_delta, delta_schema(schema))
    # As above.
    with np.errstate(over="ignore"):
        step *= learning_rate
        step += flatten(global_model, schema)
    return restore(step, schema, tolerance=tolerance)
