"""The demo: handwritten digits, spread unevenly over many clients, learnt in four ways.

Centrally; by federated averaging in the clear; by federated averaging through the real protocol; and by a private run
through the same protocol, with noise and a budget. Sessions are real, over real bytes, with clients that vanish at
every stage. Every round's secure sum is compared, bit for bit, with the plain sum of the survivors' integers; the
private run's ledger is audited at the end.

Everything here is a simulation: partition, initial model and dropouts come from a seeded generator.
The protocol's own randomness and the noise never do.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fl import fedavg
from fl.app.demo.evidence import gather
from fl.app.demo.model import Model, accuracy, new_model
from fl.app.demo.private_run import PrivateRun
from fl.app.demo.result import DemoResult, DemoRound, mean_bytes
from fl.app.demo.scene import Scene, Update, answering, applied, draw_dropouts, model_digest
from fl.app.demo.settings import DemoSettings
from fl.arrays.schema import ArraySchema
from fl.codecs.weighted_mean import WeightedMean
from fl.parallel import thread_pool
from secagg import SessionParams, SimulationResult, TooFewClientsError, simulate

__all__ = ["run_demo"]

DELTA_CLIP: Final = 1.0
"""Public clip of an entry of an update in the secure run; the demo's local training stays within it, nearly always."""

WEIGHT_CAP: Final = 128
"""Public cap of a client's weight, its number of examples: a larger client counts as this many."""


def run_demo(
    settings: DemoSettings,
    progress: Callable[[DemoRound], None] = lambda _: None,
    executor: Executor | None = None,
    ledger_folder: Path | None = None,
) -> DemoResult:
    """Trains in the four ways and compares.

    Args:
        settings: what to run.
        progress: called after every round.
        executor: runs the mask generation in shards; None is threads where they pay.
        ledger_folder: keeps the private run's ledger and its clients' counters: new or empty. None is a temporary one.

    Raises:
        InvalidParameterError, ModulusTooSmallError, UnsafePlanError: the settings contradict each other, for example a
            modulus that is too small for that many clients; or the folder holds something.
        dp.InvalidParameterError: no noise keeps such a budget.
        OSError: the folder cannot be written.
    """
    generator = np.random.default_rng(settings.seed)
    scene = Scene(settings, generator)
    initial = new_model(generator)
    with ExitStack() as stack:
        private: PrivateRun | None = None
        if settings.private:
            folder = ledger_folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="secagg-demo-")))
            private = stack.enter_context(PrivateRun(settings, scene, initial, folder))
        federated = _Federated(settings, scene=scene, initial=initial, generator=generator, executor=executor)
        central = initial
        for number in range(1, settings.rounds + 1):
            dropouts = draw_dropouts(settings, generator)
            started = time.perf_counter()
            central = scene.central(central, generator)
            central_s = time.perf_counter() - started
            one = federated.round(number, dropouts)
            found = None
            if private is not None:
                with _threads(private.plan.session, executor) as threads:
                    found = private.round(number, dropouts, threads)
            done = DemoRound(
                number=number,
                answered=one.answered,
                survivors=len(one.survivors),
                exact=one.exact,
                lost_at=one.lost_at,
                bytes_up=mean_bytes(one.outcome.traffic.up, one.survivors) if one.outcome else 0.0,
                bytes_down=mean_bytes(one.outcome.traffic.down, one.survivors) if one.outcome else 0.0,
                protocol_s=one.protocol_s,
                training_s=one.training_s + central_s,
                accuracy_central=accuracy(central, *scene.test),
                accuracy_plain=accuracy(federated.plain, *scene.test),
                accuracy_secure=accuracy(federated.secure, *scene.test),
                private=found,
            )
            federated.result.rounds.append(done)
            progress(done)
        federated.result.private = None if private is None else private.finish()
    return federated.result


@dataclass(frozen=True, slots=True)
class _Outcome:
    outcome: SimulationResult | None
    survivors: frozenset[int]
    answered: Mapping[str, int]
    exact: bool | None
    lost_at: str | None
    protocol_s: float
    training_s: float


class _Federated:
    """Federated averaging through the protocol, and in the clear over the same survivors."""

    def __init__(
        self,
        settings: DemoSettings,
        *,
        scene: Scene,
        initial: Model,
        generator: np.random.Generator,
        executor: Executor | None,
    ) -> None:
        self.plain = self.secure = initial
        self._settings = settings
        self._scene = scene
        self._generator = generator
        self._executor = executor
        schema = fedavg.delta_schema(ArraySchema.of(initial))
        self._codec = WeightedMean(schema, DELTA_CLIP, settings.modulus_bits, settings.clients, WEIGHT_CAP)
        self._weights = {client: min(len(part), WEIGHT_CAP) for client, part in scene.parts.items()}
        params = self._params(1)
        self.result = DemoResult(settings, params.threshold, params.vector_length)

    def round(self, number: int, dropouts: Mapping[str, frozenset[int]]) -> _Outcome:
        """Runs one round of both; where too few clients are left both models stay as they are."""
        params = self._params(number)
        started = time.perf_counter()
        updates = self._train(self.secure, frozenset(self._scene.parts))
        encoded = {client: self._codec.encode(updates[client], self._weights[client]) for client in updates}
        training_s = time.perf_counter() - started
        if self.result.evidence is None:
            self.result.evidence = gather(self._codec, updates, self._weights, self._settings.adversary)

        started = time.perf_counter()
        outcome: SimulationResult | None = None
        lost_at = None
        try:
            with _threads(params, self._executor) as threads:
                digest = model_digest(self.secure)
                outcome = simulate(encoded, params, dropouts=dropouts, model_digest=digest, executor=threads)
        except TooFewClientsError as error:
            lost_at = error.stage
        protocol_s = time.perf_counter() - started

        exact: bool | None = None
        survivors = outcome.survivors if outcome else frozenset()
        answered = _until(answering(self._settings, dropouts), lost_at)
        if outcome is not None:
            answered = {stage: len(clients) for stage, clients in outcome.traffic.answered.items()}
            exact = _is_exact(outcome, encoded, self._settings.modulus_bits)
            mean, _ = self._codec.decode(outcome.sum, len(survivors))
            self.secure = applied(self.secure, mean)
        started = time.perf_counter()
        self._plain_round(survivors)
        training_s += time.perf_counter() - started
        return _Outcome(outcome, survivors, answered, exact, lost_at, protocol_s, training_s)

    def _params(self, number: int) -> SessionParams:
        return self._codec.session_params(adversary=self._settings.adversary, round_number=number)

    def _train(self, model: Model, clients: frozenset[int]) -> dict[int, Update]:
        return {client: self._scene.update(model, client, self._generator) for client in sorted(clients)}

    def _plain_round(self, survivors: frozenset[int]) -> None:
        """Federated averaging in the clear, over the clients whose vectors the secure round summed."""
        total = sum(self._weights[client] for client in survivors)
        if not total:
            return
        mean = {name: np.zeros(array.shape, np.float64) for name, array in self.plain.items()}
        for client, update in self._train(self.plain, survivors).items():
            for name, delta in update.items():
                mean[name] += self._weights[client] / total * delta
        self.plain = applied(self.plain, mean)


def _threads(params: SessionParams, executor: Executor | None) -> AbstractContextManager[Executor | None]:
    if executor is not None:
        return nullcontext(executor)
    return thread_pool(params.vector_length, params.neighbours + 1, params.modulus_bits)


def _until(answered: Mapping[str, int], lost_at: str | None) -> dict[str, int]:
    """Returns how many answered, up to the stage at which a round was lost."""
    counts = {}
    for stage, count in answered.items():
        counts[stage] = count
        if stage == lost_at:
            break
    return counts


def _is_exact(outcome: SimulationResult, encoded: Mapping[int, npt.NDArray[Any]], bits: int) -> bool:
    plain = np.zeros(outcome.sum.shape, np.uint64)
    for client in outcome.survivors:
        plain += encoded[client]
    return bool(np.array_equal(outcome.sum.astype(np.uint64), plain & np.uint64(2**bits - 1)))
