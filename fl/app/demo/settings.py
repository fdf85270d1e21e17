"""What a demo is to run, checked before anything is."""

import math
from dataclasses import dataclass

from secagg import AdversaryModel, InvalidParameterError

__all__ = ["DemoSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings:
    """What to run.

    Args:
        clients: clients, 4 or more (HONEST_BUT_CURIOUS: 3).
        rounds: training rounds, at least 1.
        alpha: the Dirichlet concentration of the labels over the clients; smaller is more uneven.
        dropout: the probability that a client vanishes in a round, at a stage drawn evenly; 0 to below 1.
        modulus_bits: sums of the secure run are taken modulo two to this power; the private run's plan has its own.
        adversary: the model that the protocol defends against.
        epsilon: the privacy budget of all rounds together; 0 leaves the private run out.
        delta: of the budget, above 0 and below 1.
        clip: the L2 norm that an update of the private run is clipped to.
        seed: of partition, initial model, training order and dropouts; never of the protocol or of noise.

    Raises:
        InvalidParameterError: a setting is out of its range.
    """

    clients: int = 50
    rounds: int = 20
    alpha: float = 0.5
    dropout: float = 0.1
    modulus_bits: int = 32
    adversary: AdversaryModel = AdversaryModel.ACTIVE
    epsilon: float = 8.0
    delta: float = 1e-5
    clip: float = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        smallest = 4 if self.adversary is AdversaryModel.ACTIVE else 3
        if not smallest <= self.clients <= 500:
            raise InvalidParameterError("clients", self.clients, f"from {smallest} to 500")
        if self.rounds < 1:
            raise InvalidParameterError("rounds", self.rounds, "at least 1")
        if not 1e-3 <= self.alpha <= 1e6:
            # Beyond these the Dirichlet draw leaves the range of floats and says nothing any more.
            raise InvalidParameterError("alpha", self.alpha, "from 0.001 to 1000000")
        if not 0 <= self.dropout < 1:
            raise InvalidParameterError("dropout", self.dropout, "at least 0 and below 1")
        if not 0 <= self.epsilon < math.inf:
            raise InvalidParameterError("epsilon", self.epsilon, "finite and at least 0; 0 leaves the private run out")
        if not 0 < self.delta < 1:
            raise InvalidParameterError("delta", self.delta, "above 0 and below 1")
        if not 0 < self.clip < math.inf:
            raise InvalidParameterError("clip", self.clip, "finite and above 0")
        if self.seed < 0:
            raise InvalidParameterError("seed", self.seed, "at least 0")

    @property
    def private(self) -> bool:
        """Whether there is a private run."""
        return self.epsilon > 0
