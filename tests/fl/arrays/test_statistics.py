"""fl.arrays.statistics: counters and running statistics are averaged only by declaration."""

import pickle

import numpy as np
import pytest

from fl.arrays.schema import ArraySchema
from fl.arrays.statistics import check_declared, is_running_statistic, undeclared
from fl.errors import UndeclaredArraysError

MODEL = {
    "fc.weight": np.zeros(3, np.float32),
    "bn.running_var": np.zeros(3, np.float32),
    "steps": np.array(0),
    "seen": np.array(0, np.uint8),
}


def test_integers_and_running_statistics_have_to_be_declared():
    schema = ArraySchema.of(MODEL)
    assert set(undeclared(schema)) == {"bn.running_var", "steps", "seen"}
    with pytest.raises(UndeclaredArraysError, match=r"bn\.running_var.*left_out") as refused:
        check_declared(schema, ["steps"])
    assert set(refused.value.names) == {"bn.running_var", "seen"}
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)
    check_declared(schema, ["steps", "seen", "bn.running_var"])


def test_a_list_of_arrays_is_judged_by_its_dtypes():
    assert undeclared(ArraySchema.of([np.zeros(2), np.zeros(2, np.int64)])) == (1,)


@pytest.mark.parametrize(
    ("name", "found"),
    [("layer1.bn1.num_batches_tracked", True), ("bn/moving_mean:0", True), ("fc.weight", False), (3, False)],
)
def test_names(name: str | int, found: bool):
    assert is_running_statistic(name) is found
