"""Whole sessions whose masks are computed elsewhere: by threads, by processes, and by a cluster under TLS."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from secagg import AdversaryModel, SessionParams, Suite, TooFewClientsError, simulate
from secagg.errors import TaskResultError
from tests.vectors.live import IDS, Live, make_params

ROOT = Path(__file__).parents[2]
A, B = IDS[:2]


@pytest.fixture(scope="module", params=["threads", "processes"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "threads":
        with ThreadPoolExecutor(3) as pool:
            yield pool
    else:
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
            yield pool


@pytest.mark.slow
@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("bits", [8, 32])
@pytest.mark.parametrize("plan", [(1, 1), (5, 1), (1, 3), (2, 2)])
def test_a_session_with_dropouts_gives_the_plain_sum(
    suite: Suite, bits: int, plan: tuple[int, int], executor: Executor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("secagg.primitives.masking._plan", lambda *_: plan)
    params = SessionParams.for_cohort(cohort_size=8, vector_length=1000, modulus_bits=bits, suite=suite)
    vectors = {client: np.random.default_rng(client).integers(0, 2**bits, 1000) for client in range(8)}
    outcome = simulate(vectors, params, dropouts={"masked_input": [3], "unmask": [5]}, executor=executor)
    assert outcome.survivors == vectors.keys() - {3}
    plain = sum(vectors[client] for client in outcome.survivors) % 2**bits
    assert outcome.sum.tolist() == plain.tolist()


class ShorteningExecutor(ThreadPoolExecutor):
    def submit(self, function, /, *arguments, **named):
        return super().submit(lambda: function(*arguments, **named)[:-1])


@pytest.mark.slow
def test_a_server_whose_workers_return_nonsense_can_close_again():
    live = Live(make_params(AdversaryModel.HONEST_BUT_CURIOUS))
    while live.server.stage != "unmask":
        live.collect()
        live.close()
    live.collect()
    with ShorteningExecutor(1) as pool:
        live.server._executor = pool
        with pytest.raises(TaskResultError):
            live.close()
    live.server._executor = None
    live.close()
    live.check(live.result)


@pytest.mark.slow
def test_a_client_whose_workers_return_nonsense_drops_out():
    live = Live(make_params(AdversaryModel.HONEST_BUT_CURIOUS))
    while live.server.stage != "masked_input":
        live.collect()
        live.close()
    with ShorteningExecutor(1) as pool:
        live.clients[A]._executor = pool
        with pytest.raises(TaskResultError):
            live.answer(A, live.outbound[A])
    assert live.clients[A].over
    live.check(live.run({"masked_input": [A]}))


def test_errors_of_the_protocol_leave_the_workers_usable(executor: Executor):
    params = SessionParams.for_cohort(cohort_size=5, vector_length=10, modulus_bits=8)
    vectors = {client: np.ones(10, np.uint8) for client in range(5)}
    with pytest.raises(TooFewClientsError):
        simulate(vectors, params, dropouts={"unmask": range(5)}, executor=executor)
    assert simulate(vectors, params, executor=executor).sum.tolist() == [5] * 10


@pytest.mark.slow
def test_the_example_runs_a_session_on_a_dask_cluster_under_tls(tmp_path: Path):
    pytest.importorskip("distributed")
    # A process of its own: the cluster's processes import its main module again, and its threads end with it.
    done = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / "cluster_dask.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    connections, *checks = done.stdout.splitlines()
    assert connections.count("tls://") == 3
    assert checks == [
        "all encrypted: True",
        "the sum equals the plain one: True",
        "a client without TLS is refused: True",
        "a stranger's certificate is refused: True",
    ]
    # Keys and certificates are gone.
    assert not list(tmp_path.rglob("*.key"))
