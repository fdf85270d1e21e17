"""One round of a run: from the clients' contributions to the mean, through the real protocol."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from dp import BudgetExceededError
from fl.app.run.dropouts import Dropouts
from fl.app.run.journal import RoundRecord
from fl.arrays.schema import NamedArrays
from fl.private import Contribution
from secagg import ClientId, TooFewClientsError

__all__ = ["RoundResult", "Rounds", "closed", "mean_bytes", "too_few"]


@dataclass(frozen=True, slots=True, eq=False)
class RoundResult:
    """What came of a round.

    Attributes:
        mean: the mean update; None if there is none.
        clip: the next round's clip norm.
        record: what is known of the round.
        error: by how much an entry of the mean can be off; infinity where it has noise.
    """

    mean: NamedArrays | None
    clip: float
    record: RoundRecord
    error: float = 0.0


class Rounds(ABC):
    """The rounds of one plan."""

    @abstractmethod
    def exhausted(self, round_number: int, clip: float) -> BudgetExceededError | None:
        """Returns what would be spent, if that is more than the budget; a round then must not begin."""

    @abstractmethod
    def checked(self, contribution: Contribution, clip: float) -> Contribution:
        """Returns a copy of a contribution that the round can take.

        Raises:
            SchemaMismatchError: its arrays are not the model's.
            InvalidInputError: an entry is not finite, or the weight or a side value is refused.
        """

    @abstractmethod
    def run(
        self,
        round_number: int,
        *,
        clip: float,
        contributions: Mapping[ClientId, Contribution],
        dropouts: Dropouts,
        model_digest: bytes,
    ) -> RoundResult:
        """Runs a round; when it returns, or after any error, the round counts.

        Args:
            round_number: from 1.
            clip: the round's clip norm.
            contributions: as `checked` returned them, of all who do not vanish before they are asked.
            dropouts: who vanishes, by stage.
            model_digest: of what the clients worked on.

        Raises:
            DPError, SecAggError, OSError: it failed, and has no result.
        """


def closed(record: RoundRecord, started: float, **known: object) -> RoundRecord:
    """Returns a record with what is known at the end of the round, and how long the round took."""
    return msgspec.structs.replace(record, protocol_s=round(time.perf_counter() - started, 4), **known)


def too_few(error: TooFewClientsError) -> str:
    """Returns in words how many clients were left, and when."""
    return f"at {error.stage}: {error.needed} needed, {error.remaining} left"


def mean_bytes(by_client: Mapping[ClientId, int], clients: frozenset[ClientId]) -> float:
    """Returns the bytes of a client, on average."""
    return sum(by_client[client] for client in clients) / len(clients)
