"""What there is after `secagg run`: every round, the budget, and where the model is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from fl.app.run.journal import Done, RoundOutcome
from fl.app.run.plan import RunPlan
from fl.private import PrivatePlan

__all__ = ["Ended", "RunResult"]

Ended: TypeAlias = Literal["finished", "budget exhausted"]

_OUTCOMES: Final[tuple[RoundOutcome, ...]] = ("released", "too few clients", "no mean", "lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A run that has come to its end.

    Attributes:
        ended: "finished", or "budget exhausted" with rounds left.
        detail: why it ended before its time; empty if it did not.
        plan: the run's.
        done: all rounds, those of earlier processes too.
        model: the file with the model.
        ledger: the file; None in a run without noise.
        head: the ledger's.
        public_key: of the key that signs the ledger; None if it is not signed.
        epsilon: spent on the whole ledger; None without one.
    """

    ended: Ended
    detail: str
    plan: RunPlan
    done: tuple[Done, ...]
    model: Path
    ledger: Path | None
    head: bytes | None
    public_key: bytes | None
    epsilon: float | None

    @property
    def outcomes(self) -> dict[RoundOutcome, int]:
        """How many rounds came to what."""
        found = [one.record.outcome for one in self.done]
        return {outcome: found.count(outcome) for outcome in _OUTCOMES}

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """The study's last figures."""
        return next((one.metrics for one in reversed(self.done) if one.metrics), {})

    @property
    def clipped(self) -> float | None:
        """In the last round with a sum, the part of the survivors whose update was clipped; None with noise."""
        return next((one.record.clipped for one in reversed(self.done) if one.record.survivors is not None), None)

    def to_json(self) -> dict[str, object]:
        """Returns plain data."""
        return {
            "ended": self.ended,
            "detail": self.detail,
            "plan": self.plan.digest.hex(),
            "clients": self.plan.clients,
            "min_survivors": self.plan.min_survivors,
            "planned_rounds": self.plan.rounds,
            "outcomes": self.outcomes,
            "metrics": dict(self.metrics),
            "clipped": self.clipped,
            "model": str(self.model),
            "privacy": self._privacy(),
            "rounds": [msgspec.to_builtins(one.record) | {"metrics": one.metrics, "at": one.at} for one in self.done],
        }

    def _privacy(self) -> dict[str, object] | None:
        if not isinstance(self.plan, PrivatePlan):
            return None
        noise = self.plan.noise
        return {
            "scope": self.plan.scope,
            "unit": noise.unit,
            "budget": float(noise.target_epsilon),
            "delta": float(noise.delta),
            "colluders": noise.colluders,
            "epsilon": self.epsilon,
            "ledger": str(self.ledger),
            "head": None if self.head is None else self.head.hex(),
            "public_key": None if self.public_key is None else self.public_key.hex(),
        }
