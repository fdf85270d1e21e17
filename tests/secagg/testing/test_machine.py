"""The whole protocol under drawn dropouts, restarts and lies (see `secagg.testing.machine`)."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from secagg import ClientId, ClientPolicy, ClientSession, Identity, ServerSession, SessionParams
from secagg.testing import ProtocolMachine
from tests.kit.pipelined_sessions import PipelinedClient, PipelinedServer

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


class Repeatable(ProtocolMachine):
    """Keys follow from the drawn model digest, so that hypothesis finds the same ring when it repeats a run."""

    def __init__(self) -> None:
        super().__init__()
        self._drawn = 0
        self._patch = mock.patch("secrets.token_bytes", self._token_bytes)
        self._patch.start()

    def _token_bytes(self, size: int = 32) -> bytes:
        self._drawn += 1
        return hashlib.shake_256(self.model_digest + self._drawn.to_bytes(8, "little")).digest(size)

    def teardown(self) -> None:
        self._patch.stop()
        super().teardown()


class OverCompleteGraphs(Repeatable):
    outcomes: ClassVar[Counter[str]] = Counter()
    graphs = "complete"


class OverSparseGraphs(Repeatable):
    outcomes: ClassVar[Counter[str]] = Counter()
    graphs = "sparse"


@pytest.mark.slow
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
                # The next batch draws other runs, at any profile.
                derandomize=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
        if set(machine.outcomes) == OUTCOMES and machine.outcomes["sum"] >= 50:
            break
    assert set(machine.outcomes) == OUTCOMES, str(machine.outcomes)
    assert machine.outcomes["sum"] >= 50, str(machine.outcomes)


class Pipelined(Repeatable):
    """Every session lives in a pipeline, beside the next round's."""

    outcomes: ClassVar[Counter[str]] = Counter()

    def make_server(self, params: SessionParams, identities: Mapping[ClientId, bytes]) -> ServerSession:
        return PipelinedServer(params, tuple(self.inputs), identities or None)

    def make_client(self, client: ClientId, policy: ClientPolicy, identity: Identity | None) -> ClientSession:
        session = PipelinedClient(client, policy, identity)
        if self.params.round_number < 2**64 - 1:
            following = replace(self.params, round_number=self.params.round_number + 1)
            keys = {other: known.public_key for other, known in self.identities.items()}
            session.beside = ServerSession(following, tuple(self.inputs), keys or None).invitation
        return session


@pytest.mark.slow
def test_pipelined_sessions_end_as_sessions_do() -> None:
    Pipelined.outcomes.clear()
    run_state_machine_as_test(
        Pipelined,
        settings=settings(
            max_examples=150,
            stateful_step_count=6,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert set(Pipelined.outcomes) <= OUTCOMES, str(Pipelined.outcomes)
    # Of 150 runs a third end with a sum: that fewer than 10 do by chance is below 1e-9.
    assert Pipelined.outcomes["sum"] >= 10, str(Pipelined.outcomes)
    assert len(Pipelined.outcomes) >= 3, str(Pipelined.outcomes)
