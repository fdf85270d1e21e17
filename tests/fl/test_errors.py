"""fl.errors: facts as fields, which survive pickling; and the older name of one of them."""

import pickle

import pytest

import fl
from fl.errors import (
    MissingExtraError,
    ModulusTooSmallError,
    PlanMismatchError,
    SchemaMismatchError,
    UnsafePlanError,
)
from secagg import LocalError

ERRORS = [
    SchemaMismatchError("array 'w'", "float32", "float64"),
    ModulusTooSmallError(256, 10, 8, 9),
    UnsafePlanError("colluders", 3, "too many"),
    PlanMismatchError("plan", "aa", "bb"),
    MissingExtraError("dp", "scipy"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_local_and_survives_pickling_with_its_fields(error: LocalError):
    assert isinstance(error, LocalError)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.args, vars(again), str(again)) == (error.args, vars(error), str(error))


def test_the_older_name_of_a_modulus_that_is_too_small_is_the_same_error():
    assert fl.OverflowError_ is fl.ModulusTooSmallError is ModulusTooSmallError
    assert issubclass(ModulusTooSmallError, OverflowError)
    assert "2**8: use modulus_bits of at least 9" in str(ModulusTooSmallError(256, 10, 8, 9))
