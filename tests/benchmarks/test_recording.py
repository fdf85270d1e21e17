"""The server keeps one running sum and never the vectors: its memory is bounded at any cohort size."""

import tracemalloc
from pathlib import Path

import pytest

from benchmarks.recording import plain_sum, record, session_params
from secagg import AdversaryModel

CLIENTS = 60
LENGTH = 250_000


@pytest.mark.slow
@pytest.mark.parametrize("dropped", [0, 15])
@pytest.mark.parametrize("adversary", list(AdversaryModel), ids=lambda model: model.name.lower())
def test_the_server_needs_three_vectors_and_200_bytes_for_each_pair(
    tmp_path: Path, adversary: AdversaryModel, dropped: int
) -> None:
    params = session_params(CLIENTS, LENGTH, 32, adversary)
    recording = record(params, tmp_path, range(dropped))
    tracemalloc.start()
    try:
        result = recording.replay()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (result.sum == plain_sum(params, range(dropped, CLIENTS))).all()
    assert peak <= 3 * result.sum.nbytes + 200 * CLIENTS * (CLIENTS - 1)
