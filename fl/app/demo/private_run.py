"""The private run of the demo: client-level differential privacy, with noise that the clients add in shares.

The same clients, data, dropouts and local training as in the other runs. What differs: an update is clipped to an L2
norm, every client counts alike, each adds its share of the noise, the server reserves and settles every round in a
ledger, and each client counts its own rounds. Beside it, for comparison, a server that is trusted with the plain
updates: it clips them alike and adds the noise itself, for the same budget.
"""

import math
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from dp import GaussianMechanism, Ledger, Relation, RoundCounter, Unit, audit, clip, noise_multiplier
from fl import fedavg
from fl.app.demo.model import Model, accuracy
from fl.app.demo.result import PrivateResult, PrivateRound, mean_bytes
from fl.app.demo.scene import Scene, Update, applied, model_digest
from fl.app.demo.settings import DemoSettings
from fl.arrays.flatten import flatten, restore
from fl.arrays.schema import ArraySchema
from fl.private import Contribution, PrivatePlan, SimulatedRound, make_plan, simulate_round
from secagg import AdversaryModel, Identity, InvalidParameterError, Stage, TooFewClientsError, default_threshold

__all__ = ["LEDGER", "PrivateRun", "plan_of", "tolerated_dropouts"]

LEDGER: Final = "ledger.jsonl"
"""The ledger's name in its folder. The clients' counters lie beside it, each of which would be on its own machine."""

COLLUDER_SHARE: Final = 0.1
"""The part of the clients that may work with the server: their noise is not counted on."""

LOST_CHANCE: Final = 1e-3
"""A round is lost with at most this probability, unless the session's own threshold asks for more survivors."""


def tolerated_dropouts(settings: DemoSettings) -> int:
    """Returns how many clients may vanish before their vector is there, that is the plan's `max_dropouts`."""
    stages = settings.adversary.stages
    # Those who vanish later are in the sum already.
    chance = settings.dropout * (stages.index(Stage.MASKED_INPUT) + 1) / len(stages)
    likely, so_far = 0, (1 - chance) ** settings.clients
    while so_far < 1 - LOST_CHANCE and likely < settings.clients:
        likely += 1
        ways = math.comb(settings.clients, likely)
        so_far += ways * chance**likely * (1 - chance) ** (settings.clients - likely)
    # With the threshold of the other runs; a session needs one survivor more than that.
    return min(likely, settings.clients - default_threshold(settings.clients) - 1)


def plan_of(settings: DemoSettings, schema: ArraySchema) -> PrivatePlan:
    """Returns the plan of the private run.

    Raises:
        UnsafePlanError, dp.InvalidParameterError: no noise keeps such a budget.
    """
    return make_plan(
        scope="secagg demo",
        schema=schema,
        clients=settings.clients,
        max_dropouts=tolerated_dropouts(settings),
        colluders=int(COLLUDER_SHARE * settings.clients),
        clip=settings.clip,
        epsilon=settings.epsilon,
        delta=settings.delta,
        rounds=settings.rounds,
        adversary=settings.adversary,
    )


class PrivateRun:
    """The two private models, and everything that has to be remembered for them; a context manager.

    Args:
        settings: what to run.
        scene: data and clients.
        model: where to start.
        folder: for the ledger and the clients' counters: new or empty.

    Raises:
        InvalidParameterError: the folder holds something.
        UnsafePlanError, dp.InvalidParameterError: no noise keeps such a budget.
        OSError: the folder cannot be written.
    """

    def __init__(self, settings: DemoSettings, scene: Scene, model: Model, folder: Path) -> None:
        self._schema = fedavg.delta_schema(ArraySchema.of(model))
        self.plan = plan_of(settings, self._schema)
        self._scene = scene
        self._model = self._trusted_model = model
        multiplier = noise_multiplier(
            settings.epsilon,
            settings.delta,
            count=settings.rounds,
            relation=Relation.ZERO_OUT,
            unit=Unit.CLIENT,
        )
        self._trusted = GaussianMechanism(settings.clip, multiplier, self._schema.size, Relation.ZERO_OUT, Unit.CLIENT)
        # Its own generator: with or without a private run, the other runs train alike.
        self._generator = np.random.default_rng([settings.seed, 1])
        counters = _prepared(folder) / "clients"
        counters.mkdir()
        self._counters = {
            client: RoundCounter(counters / f"{client:03}", self.plan.scope, self.plan.rounds) for client in scene.parts
        }
        self._identities = None
        if settings.adversary is AdversaryModel.ACTIVE:
            self._identities = {client: Identity.generate() for client in scene.parts}
        self._path = folder / LEDGER
        self._ledger = Ledger.create(self._path, self.plan.header())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ledger.close()

    def round(
        self, number: int, dropouts: Mapping[str, frozenset[int]], executor: Executor | None = None
    ) -> PrivateRound:
        """Runs one round; where too few clients are left both models stay as they are.

        Args:
            number: of the round, from 1.
            dropouts: who vanishes before which stage.
            executor: runs the mask generation in shards.
        """
        updates = self._train(self._model)
        started = time.perf_counter()
        outcome: SimulatedRound | None = None
        lost_at = None
        try:
            outcome = simulate_round(
                self.plan,
                self._ledger,
                number,
                self._counters,
                contribute=lambda client: Contribution(updates[client]),
                identities=self._identities,
                dropouts=dropouts,
                model_digest=model_digest(self._model),
                executor=executor,
            )
        except TooFewClientsError as error:
            lost_at = error.stage
        protocol_s = time.perf_counter() - started
        noise = None
        if outcome is not None:
            noise = self._noise_of(outcome, updates)
            self._model = applied(self._model, outcome.released.mean())
            self._trusted_round(outcome.survivors)
        return PrivateRound(
            survivors=len(outcome.survivors) if outcome else 0,
            lost_at=lost_at,
            reserved=outcome is not None or number in self._ledger.unsettled,
            spent=self._ledger.spent,
            noise=noise,
            bytes_up=mean_bytes(outcome.bytes_up, outcome.survivors) if outcome else 0.0,
            bytes_down=mean_bytes(outcome.bytes_down, outcome.survivors) if outcome else 0.0,
            protocol_s=protocol_s,
            accuracy=accuracy(self._model, *self._scene.test),
            accuracy_trusted=accuracy(self._trusted_model, *self._scene.test),
        )

    def finish(self) -> PrivateResult:
        """Closes the ledger and has it audited, against the latest head that one of the clients holds."""
        heads = [counter.head for counter in self._counters.values()]
        known = [head for head in heads if head is not None]
        anchor = min(known, key=lambda head: len(self._ledger.lines_since(head)), default=None)
        self._ledger.finish()
        audited = audit([self._path], expected_head=anchor)
        stddev = math.sqrt(self._trusted.variance) * self._trusted.spacing
        return PrivateResult(self.plan, audited, anchor, stddev)

    def _train(self, model: Model) -> dict[int, Update]:
        return {client: self._scene.update(model, client, self._generator) for client in self._scene.parts}

    def _trusted_round(self, survivors: frozenset[int]) -> None:
        updates = self._train(self._trusted_model)
        total = self._trusted.release_sum(self._flat(updates[client]) for client in sorted(survivors))
        self._trusted_model = applied(self._trusted_model, restore(total / len(survivors), self._schema))

    def _noise_of(self, outcome: SimulatedRound, updates: Mapping[int, Update]) -> float:
        """Returns what nobody in a deployment could: how far the released mean is from the true one."""
        true = np.zeros(self._schema.size)
        for client in outcome.survivors:
            true += clip(self._flat(updates[client]), self.plan.clip).vector
        return float(np.sqrt(np.mean((outcome.released.update - true) ** 2))) / len(outcome.survivors)

    def _flat(self, update: Update) -> npt.NDArray[np.float64]:
        return flatten(update, self._schema)


def _prepared(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    if any(folder.iterdir()):
        raise InvalidParameterError("ledger folder", str(folder), "new or empty: a ledger is never written over")
    return folder
