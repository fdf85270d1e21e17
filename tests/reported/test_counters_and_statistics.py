"""A counter or a running statistic is never clipped and averaged in silence."""

from pathlib import Path

import numpy as np
import pytest

import fl
from fl import private
from fl.app.run.guarded_study import GuardedStudy
from fl.errors import UndeclaredArraysError
from fl.private import Contribution
from fl.study import StudyError

MODEL = {
    "fc.weight": np.zeros((4, 4), np.float32),
    "bn.running_var": np.ones(4, np.float32),
    "bn.num_batches_tracked": np.array(0),
}
TERMS = {
    "scope": "s",
    "clients": 8,
    "max_dropouts": 1,
    "colluders": 0,
    "clip": 1.0,
    "epsilon": 8.0,
    "delta": 1e-5,
    "rounds": 2,
}


def deltas() -> dict[str, np.ndarray]:
    local = {name: array + array.dtype.type(1) for name, array in MODEL.items()}
    return fl.fedavg.client_delta(MODEL, local)


@pytest.mark.parametrize("arrays", [MODEL, deltas()], ids=["models", "differences"])
def test_a_private_plan_names_them(arrays: dict[str, np.ndarray]):
    with pytest.raises(UndeclaredArraysError) as refused:
        private.make_plan(schema=fl.ArraySchema.of(arrays), **TERMS)
    assert set(refused.value.names) == {"bn.running_var", "bn.num_batches_tracked"}
    private.make_plan(schema=fl.ArraySchema.of(arrays), averaged=refused.value.names, **TERMS)


def test_a_weighted_mean_names_running_statistics():
    with pytest.raises(UndeclaredArraysError, match="num_batches_tracked"):
        fl.WeightedMean(fl.ArraySchema.of(deltas()), clip=0.1, modulus_bits=32, clients=4, weight_cap=1)


class Study:
    def __init__(self) -> None:
        self.seen: list[dict[str, np.ndarray]] = []

    def clients(self):
        return [1, 2, 3]

    def initial_model(self):
        return MODEL

    def contribute(self, client, model, round_number):
        self.seen.append(model)
        return Contribution(deltas())

    def evaluate(self, model):
        return {"arrays": float(len(model))}


def test_a_run_names_them_and_leaves_out_what_it_is_told():
    with pytest.raises(StudyError, match="left_out"):
        GuardedStudy(Study()).initial_model()
    inner = Study()
    study = GuardedStudy(inner)
    study.declare(left_out=["bn.*"])
    model = study.initial_model()
    assert set(model) == {"fc.weight"}
    handed_in = study.contribute(1, model, 1, lambda contribution: contribution)
    assert set(handed_in.update) == {"fc.weight"}
    assert set(inner.seen[0]) == set(MODEL)
    assert np.array_equal(inner.seen[0]["bn.running_var"], np.ones(4))
    assert study.evaluate(model, 1) == {"arrays": 3.0}


def test_a_run_averages_what_is_declared(tmp_path: Path):
    study = GuardedStudy(Study())
    study.declare(averaged=["bn.running_var", "bn.num_batches_tracked"])
    assert set(study.initial_model()) == set(MODEL)
