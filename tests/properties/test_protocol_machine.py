"""The whole protocol under drawn dropouts, restarts and lies (see `secagg.testing.machine`)."""

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


def test_a_run_ends_with_the_exact_sum_or_a_typed_refusal_and_reaches_every_outcome() -> None:
    ProtocolMachine.outcomes.clear()
    # One batch misses some outcome in fewer than one run of five; that six batches do by chance is below 1e-4.
    for _ in range(6):
        run_state_machine_as_test(
            ProtocolMachine,
            settings=settings(
                max_examples=300,
                stateful_step_count=6,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        if set(ProtocolMachine.outcomes) == OUTCOMES and ProtocolMachine.outcomes["sum"] >= 50:
            break
    assert set(ProtocolMachine.outcomes) == OUTCOMES, str(ProtocolMachine.outcomes)
    assert ProtocolMachine.outcomes["sum"] >= 50, str(ProtocolMachine.outcomes)
