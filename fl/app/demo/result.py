"""What came of a demo, as data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dp import AuditReport
from dp.ledger import Verdict
from fl.app.demo.settings import DemoSettings
from fl.private import PrivatePlan

__all__ = [
    "DemoResult",
    "DemoRound",
    "Evidence",
    "PrivateResult",
    "PrivateRound",
    "Rounding",
    "mean_bytes",
    "stage_counts",
]


@dataclass(frozen=True, slots=True)
class PrivateRound:
    """One round of the private run, and of a trusted server's beside it.

    `lost_at` names the stage at which too few clients were left: the models then stay as they were. `reserved` is
    whether the round counts against the budget; a round that was lost after its reserve does. `spent` is the promised
    epsilon of everything so far. `noise` is the measured standard deviation of what the clients' noise did to a
    coordinate of the mean. Bytes are the mean over the survivors.
    """

    survivors: int
    lost_at: str | None
    reserved: bool
    spent: float
    noise: float | None
    bytes_up: float
    bytes_down: float
    protocol_s: float
    accuracy: float
    accuracy_trusted: float


@dataclass(frozen=True, slots=True)
class DemoRound:
    """One training round.

    `answered` counts clients by stage, in a lost round up to the stage at which it was lost. `exact` is whether the
    secure sum was bit for bit the plain one. It is None where too few clients were left for a sum: `lost_at` then names
    the stage, and the models of the secure and the plain run stay as they were. Bytes are the mean over the survivors.
    """

    number: int
    answered: Mapping[str, int]
    survivors: int
    exact: bool | None
    lost_at: str | None
    bytes_up: float
    bytes_down: float
    protocol_s: float
    training_s: float
    accuracy_central: float
    accuracy_plain: float
    accuracy_secure: float
    private: PrivateRound | None


@dataclass(frozen=True, slots=True)
class PrivateResult:
    """What the private run comes to.

    Args:
        plan: the training's.
        audit: of its ledger, made after the last round.
        anchor: the ledger's head as one of the clients holds it, which the audit was held to; None if no round began.
        trusted_stddev: of the noise in a coordinate of the *sum*, if a trusted server adds it for the same budget.
    """

    plan: PrivatePlan
    audit: AuditReport
    anchor: bytes | None
    trusted_stddev: float

    @property
    def sound(self) -> bool:
        """Whether the audit found nothing wrong."""
        return self.audit.verdict is Verdict.FINE

    @property
    def head(self) -> bytes:
        """The ledger's last head."""
        return self.audit.files[-1].head

    def mean_stddev(self, survivors: int) -> float:
        """Returns the standard deviation of the noise in a coordinate of the mean over `survivors` clients."""
        return self.plan.noise_stddev(survivors) / survivors

    def to_json(self) -> dict[str, object]:
        """Returns plain data."""
        plan, noise = self.plan, self.plan.noise
        return {
            "epsilon_budget": float(noise.target_epsilon),
            "epsilon_promised": float(noise.promised_epsilon),
            "epsilon_spent": self.audit.total.promised,
            "epsilon_realised": self.audit.total.realised,
            "delta": float(noise.delta),
            "clip": plan.clip,
            "mechanism": noise.mechanism,
            "min_survivors": plan.min_survivors,
            "colluders": noise.colluders,
            "modulus_bits": noise.modulus_bits,
            "vector_length": plan.vector_length,
            "noise_stddev_of_the_mean": self.mean_stddev(plan.clients),
            "noise_stddev_of_the_mean_trusted_server": self.trusted_stddev / plan.clients,
            "plan_digest": plan.digest.hex(),
            "ledger_head": self.head.hex(),
            "ledger_records": sum(file.records for file in self.audit.files),
            "unsettled_rounds": list(self.audit.unsettled),
            "audit": str(self.audit.verdict),
        }


@dataclass(frozen=True, slots=True)
class Rounding:
    """What a modulus of `modulus_bits` does to a coordinate of the mean: the measured error and the proven bound."""

    modulus_bits: int
    rms_error: float
    largest_error: float
    bound: float


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What one client knew, and what the server received from it.

    Args:
        client: its id.
        update: what it learnt, flat.
        seen: the words on the wire, as the server got them.
        modulus_bits: of those words.
        peers: the clients in that session.
        rounding: for a number of moduli.
    """

    client: int
    update: npt.NDArray[np.float64] = field(repr=False)
    seen: npt.NDArray[Any] = field(repr=False)
    modulus_bits: int
    peers: int
    rounding: tuple[Rounding, ...]


@dataclass(slots=True)
class DemoResult:
    """All rounds of a demo, and what follows from them. `vector_length` is d, in entries."""

    settings: DemoSettings
    threshold: int
    vector_length: int
    rounds: list[DemoRound] = field(default_factory=list)
    private: PrivateResult | None = None
    evidence: Evidence | None = None

    @property
    def exact(self) -> bool:
        """Whether every released sum was exact, and at least one was released."""
        released = [one.exact for one in self.rounds if one.exact is not None]
        return bool(released) and all(released)

    @property
    def sound(self) -> bool:
        """Whether all went as promised: the sums exact, and the private run's ledger as an audit wants it."""
        return self.exact and (self.private is None or self.private.sound)

    @property
    def lost_rounds(self) -> int:
        """Rounds in which too few clients were left."""
        return sum(one.exact is None for one in self.rounds)

    @property
    def private_rounds(self) -> list[PrivateRound]:
        """The rounds of the private run, none without one."""
        return [one.private for one in self.rounds if one.private is not None]

    def to_json(self) -> dict[str, object]:
        """Returns plain data: settings, totals, and every round."""
        return {
            "settings": {**asdict(self.settings), "adversary": self.settings.adversary.name},
            "threshold": self.threshold,
            "vector_length": self.vector_length,
            "exact": self.exact,
            "lost_rounds": self.lost_rounds,
            "private": None if self.private is None else self.private.to_json(),
            "rounding": [] if self.evidence is None else [asdict(one) for one in self.evidence.rounding],
            "rounds": [asdict(one) for one in self.rounds],
        }


def stage_counts(result: DemoResult) -> dict[str, tuple[float, int]]:
    """Returns by stage the mean and the smallest number of clients that answered, over the rounds with a sum."""
    counts: dict[str, list[int]] = {}
    for one in result.rounds:
        if one.exact is not None:
            for stage, answered in one.answered.items():
                counts.setdefault(stage, []).append(answered)
    return {stage: (float(np.mean(values)), min(values)) for stage, values in counts.items()}


def mean_bytes(by_client: Mapping[int, int], clients: frozenset[int]) -> float:
    """Returns the mean over some of the clients."""
    return float(np.mean([by_client[client] for client in clients]))
