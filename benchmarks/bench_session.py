"""One whole session, n = 100, d = 10**6, complete graph: a client's CPU, the server's CPU and memory.

The server is timed and measured on a replay, with no client in the process. The figures are printed
as a table and kept in the benchmark's JSON; the sum is compared with the plain one every time.
"""

import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from benchmarks.recording import plain_sum, record, session_params
from secagg import AdversaryModel

CLIENTS = 100
LENGTH = 10**6


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("dropped", [0, 30])
@pytest.mark.parametrize("adversary", list(AdversaryModel), ids=lambda model: model.name.lower())
def test_a_session_of_100_clients(
    benchmark: Any, tmp_path: Path, adversary: AdversaryModel, dropped: int, bits: int
) -> None:
    params = session_params(CLIENTS, LENGTH, bits, adversary)
    recording = record(params, tmp_path, range(dropped))
    expected = plain_sum(params, range(dropped, CLIENTS))
    cpu_s = []

    def replay() -> None:
        started = time.process_time()
        result = recording.replay()
        cpu_s.append(time.process_time() - started)
        assert (result.sum == expected).all()

    benchmark.pedantic(replay, rounds=3, iterations=1)

    tracemalloc.start()
    result = recording.replay()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (result.sum == expected).all()
    vector_bytes = result.sum.nbytes
    allowed = 3 * vector_bytes + 200 * CLIENTS * (CLIENTS - 1)
    figures = {
        "client_cpu_s": round(recording.client_cpu_s, 4),
        "server_cpu_s": round(min(cpu_s), 4),
        "server_peak_bytes": peak,
        "server_peak_of_allowed": round(peak / allowed, 3),
    }
    benchmark.extra_info.update(figures)
    print(f"\n{adversary.name}, m = {bits}, {dropped} dropped: {figures}")
    assert peak <= allowed
