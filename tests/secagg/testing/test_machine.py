"""The whole protocol under drawn dropouts, restarts and lies (see `secagg.testing.machine`)."""

from collections import Counter
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from secagg.testing import ProtocolMachine

OUTCOMES = frozenset(
    {
        "sum",
        "sum despite a liar",
        "dealer named",
        "split view",
        "too few at advertise_keys",
        "too few at share_keys",
        "too few at masked_input",
        "too few at consistency",
        "too few at unmask",
    }
)


class OverCompleteGraphs(ProtocolMachine):
    outcomes: ClassVar[Counter[str]] = Counter()
    graphs = "complete"


class OverSparseGraphs(ProtocolMachine):
    outcomes: ClassVar[Counter[str]] = Counter()
    graphs = "sparse"


@pytest.mark.parametrize("machine", [OverCompleteGraphs, OverSparseGraphs])
def test_a_run_ends_with_the_exact_sum_or_a_typed_refusal_and_reaches_every_outcome(
    machine: type[ProtocolMachine],
) -> None:
    machine.outcomes.clear()
    # One batch misses some outcome in fewer than one run of five; that six batches do by chance is below 1e-4.
    for _ in range(6):
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=300,
                stateful_step_count=6,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        if set(machine.outcomes) == OUTCOMES and machine.outcomes["sum"] >= 50:
            break
    assert set(machine.outcomes) == OUTCOMES, str(machine.outcomes)
    assert machine.outcomes["sum"] >= 50, str(machine.outcomes)
