"""The fields of a private plan, and the numbers that follow from them: what its checks, its text and its page read."""

from dataclasses import dataclass, replace
from typing import Final

from dp import AdaptiveClipping, DistributedPlan
from fl.arrays.schema import ArraySchema
from fl.private.side_values import SideValue, joint_factor
from secagg import SessionParams

__all__ = ["MAX_WEIGHT", "PlanRecord"]

MAX_WEIGHT: Final = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRecord:
    """The fields of `fl.private.PrivatePlan`, which explains them. Nothing is checked here."""

    scope: str
    schema: ArraySchema
    noise: DistributedPlan
    session: SessionParams
    clip: float
    weight_cap: int
    side_values: tuple[SideValue, ...]
    adaptive: AdaptiveClipping | None
    small_consortium: bool = False

    @property
    def rounds(self) -> int:
        """R, the rounds that the budget is for."""
        return self.noise.rounds

    @property
    def clients(self) -> int:
        """The number of clients that are invited to a round."""
        return self.noise.clients

    @property
    def min_survivors(self) -> int:
        """The fewest vectors in a released sum: the noise is calibrated to them. No client helps to release fewer."""
        return self.noise.min_survivors

    @property
    def vector_length(self) -> int:
        """Words that a client sends: the rotated vector, and the clip bit if there is one."""
        return self.noise.noisy_coordinates

    def joint_clip(self, clip: float) -> float:
        """Returns the norm bound of update and side values together, for a round's clip norm."""
        return clip * joint_factor(self.side_values)

    def adaptive_at(self, clip: float) -> AdaptiveClipping | None:
        """Returns the adaptive clipping of the round with this clip norm, None if the norm does not adapt."""
        return None if self.adaptive is None else replace(self.adaptive, clip_norm=clip)

    def scale(self, clip: float) -> float:
        """Returns steps of the lattice for one unit of the vector: the lattice follows the clip norm."""
        return self.noise.scaled_clip / self.joint_clip(clip)
