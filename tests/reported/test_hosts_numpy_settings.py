"""A host that makes errors of numpy's floating-point events, or of warnings, gets none of ours."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import numpy as np, dp, fl, secagg
from fl import private
from fl.private import PrivateVector, Contribution

schema = fl.ArraySchema.of({"w": np.zeros(40, np.float32), "h": np.zeros(3, np.float16)})
terms = dict(scope="s", schema=schema, clients=8, max_dropouts=1, colluders=0)
terms |= dict(clip=1.0, epsilon=8.0, delta=1e-5, rounds=2)
plans = [private.make_plan(**terms), private.make_plan(**terms, mechanism="distributed-discrete-gaussian")]
tiny = np.full(40, 1e-44, np.float32)
mixed = tiny.copy()
mixed[0] = 1
half = np.array([6e-8, 0, 1], np.float16)
np.seterr(all="raise")
for plan in plans:
    vector = PrivateVector(plan, bytes(32), 1.0)
    for update in (tiny, mixed):
        words = [vector.encode({"w": update, "h": half}) for _ in range(8)]
        total = sum(word.astype(np.uint64) for word in words) & np.uint64((1 << plan.noise.modulus_bits) - 1)
        vector.decode(total.astype(words[0].dtype), 8).mean()
codec = fl.WeightedMean(schema, clip=1.0, modulus_bits=32, clients=4, weight_cap=10)
total = sum(codec.encode({"w": mixed, "h": half}, 3).astype(np.uint64) for _ in range(4)).astype(np.uint32)
mean, _ = codec.decode(total, 4)
model = {"w": mixed, "h": half}
fl.fedavg.apply(model, fl.fedavg.client_delta(model, {"w": tiny, "h": half}), 1e-30)
dp.clip(np.array([1e-200, 1e-320]), 1e-100)
for event, count in (
    (dp.Gaussian(20.0), 10),
    (dp.Gaussian(0.01), 1),
    (dp.PoissonSampled(1e-3, dp.Gaussian(20.0)), 10),
    (dp.PoissonSampled(0.5, dp.Gaussian(0.3)), 10),
    (dp.Skellam(1000, 4, 2), 10),
    (dp.PoissonSampled(0.01, dp.Gaussian(1e-310)), 1),
):
    bound = dp.RdpAccountant().compose(event, count)
    bound.epsilon(1e-5)
    bound.epsilon(1e-300)
    bound.delta(1.0)
    bound.delta(500.0)
    bound.delta(1e308)
dp.noise_multiplier(100, 1e-5, probability=0.01, count=1000)
secagg.simulate({i: np.arange(3) for i in range(4)},
    secagg.SessionParams.for_cohort(cohort_size=4, vector_length=3, modulus_bits=32))
print("done")
"""


OTHER = {"LC_ALL": "de_DE.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "3"}


@pytest.mark.parametrize("settings", [{}, OTHER], ids=["plain", "locale and threads"])
def test_no_call_depends_on_them(settings: dict[str, str], tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_numpys_own_context_is_no_decorator_here():
    """Before numpy 2 it keeps the host's settings in itself: threads, and calls within calls, change them for good."""
    decorated = re.compile(r"^\s*@np\.errstate", re.MULTILINE)
    sources = [path for package in ("secagg", "dp", "fl") for path in (ROOT / package).rglob("*.py")]
    assert [path.name for path in sources if decorated.search(path.read_text(encoding="utf-8"))] == []
