"""The evidence of the demo: what the server saw looks uniform, and rounding is within its bound."""

import numpy as np
from scipy import stats

from fl.app.demo.demo import run_demo
from fl.app.demo.settings import DemoSettings


def test_evidence_is_a_vector_that_looks_uniform_and_errors_within_their_bounds() -> None:
    evidence = run_demo(DemoSettings(clients=6, rounds=1, epsilon=0, modulus_bits=16)).evidence
    assert evidence is not None
    counts, _ = np.histogram(evidence.seen, bins=64, range=(0, 2**16))
    # One true uniform vector in a million fails.
    assert stats.chisquare(counts).pvalue > 1e-6
    assert len(evidence.seen) >= len(evidence.update) > 2000
    # Most of an update is small, which on the wire cannot be seen.
    assert stats.chisquare(np.histogram(evidence.update, bins=64)[0]).pvalue < 1e-12
    bits = [one.modulus_bits for one in evidence.rounding]
    assert bits == list(range(3, 41, 2))
    assert all(one.rms_error <= one.largest_error <= one.bound for one in evidence.rounding)
    errors = [one.rms_error for one in evidence.rounding]
    # Two bits more are a quarter of the error; the coarsest grids clip and lose more.
    assert all(3 < errors[place] / errors[place + 1] < 5 for place in range(4, len(errors) - 1))
