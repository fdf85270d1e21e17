"""One cell of the benchmark: the size of a session, the parameters that follow, and its inputs.

Clients that drop out vanish after sharing their keys and before they send their masked input: the one place where
it costs the server most, for it then rebuilds their keys and takes a mask off for each neighbour that stayed.
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fl.cohort import SAMPLE_IDENTITY
from secagg import AdversaryModel, ClientPolicy, InvalidParameterError, SessionParams, choose, default_threshold

CORRUPT_FRACTION = 0.1
"""What graph and threshold defend against, on both sides: the part of all clients that colludes with the server."""

CURIOUS, ACTIVE = AdversaryModel.HONEST_BUT_CURIOUS, AdversaryModel.ACTIVE
MODELS = {"curious": CURIOUS, "active": ACTIVE}

Graph = Literal["complete", "sparse"]


@dataclass(frozen=True)
class Cell:
    """The size of one session. `dropout` is the part of all clients; `sparse` is the k that `secagg.choose` gives."""

    clients: int
    length: int
    dropout: float
    modulus_bits: int
    model: str
    graph: Graph

    def __str__(self) -> str:
        return (
            f"n = {self.clients}, d = {self.length}, {self.dropout:.0%} drop, m = {self.modulus_bits}, "
            f"{self.model}, k = {self.params.neighbours}"
        )

    @property
    def adversary(self) -> AdversaryModel:
        return MODELS[self.model]

    @property
    def dropped(self) -> range:
        """The clients that vanish."""
        # The decimals that the user wrote: 0.1 of 30 is 3.
        return range(math.ceil(round(self.dropout * self.clients, 9)))

    @cached_property
    def params(self) -> SessionParams:
        if self.graph == "sparse":
            certificate = choose(self.clients, corrupt=CORRUPT_FRACTION, dropout=self.dropout, adversary=self.adversary)
            return certificate.session_params(vector_length=self.length, modulus_bits=self.modulus_bits)
        # The default threshold is two thirds of the peers: in a small cohort 30 % that drop are more than the rest.
        most = self.clients - len(self.dropped) - 1
        return SessionParams(
            cohort_size=self.clients,
            threshold=min(default_threshold(self.clients), most),
            vector_length=self.length,
            modulus_bits=self.modulus_bits,
            adversary=self.adversary,
        )

    @property
    def worth_running(self) -> bool:
        """Whether this is a session of its own: where the engine chooses the complete graph, that cell is there."""
        return self.graph == "complete" or self.params.sparse

    def policy(self, identities: dict[int, bytes]) -> ClientPolicy:
        """Returns the terms of every client: each one computes the certificate of a sparse graph itself."""
        return ClientPolicy(
            identities=identities,
            adversary=self.adversary,
            corrupt_fraction=CORRUPT_FRACTION,
            dropout_fraction=self.dropout,
            # Three honest survivors are one too many for a cohort of ten of which a third drops out.
            small_consortium=self.clients < 32,
            max_message_bytes=2**40,
        )

    def check(self) -> None:
        """Refuses a cell that no client takes part in, or that too few survive.

        Raises:
            SecAggError: with the reason.
        """
        self.policy({0: SAMPLE_IDENTITY} if self.params.active else {}).check(self.params)
        stay = self.clients - len(self.dropped)
        if stay < self.params.min_survivors:
            raise InvalidParameterError("dropouts", self.dropout, f"such that {self.params.min_survivors} clients stay")

    @property
    def upload_allowed_bytes(self) -> int:
        """What one client may send in all: the packed vector, 200 bytes for each neighbour, 512 for the rest."""
        return self.params.packed_vector_bytes + 200 * self.params.neighbours + 512

    @property
    def memory_allowed_bytes(self) -> int:
        """What the server may need: three vectors of words, and 200 bytes for each ordered pair of neighbours."""
        return 3 * self.length * word_dtype(self).itemsize + 200 * self.clients * self.params.neighbours

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"neighbours": self.params.neighbours, "threshold": self.params.threshold}


def word_dtype(cell: Cell) -> np.dtype[np.unsignedinteger]:
    return np.min_scalar_type(2**cell.modulus_bits - 1)


class Inputs:
    """Every client's vector: cheap to make one after the other, every bit of it in use."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        words = np.random.default_rng(0).integers(0, 2**cell.modulus_bits, cell.length, np.uint64)
        self._base = words.astype(word_dtype(cell))

    def of(self, client: int) -> npt.NDArray[np.unsignedinteger]:
        return np.roll(self._base, client)

    def plain_sum(self, clients: Iterable[int]) -> npt.NDArray[np.unsignedinteger]:
        """Returns the sum of some clients' vectors modulo 2**modulus_bits."""
        total = np.zeros_like(self._base)
        for client in clients:
            total += self.of(client)
        return total & total.dtype.type(2**self._cell.modulus_bits - 1)


def grid(
    clients: Iterable[int],
    lengths: Iterable[int],
    dropouts: Iterable[float],
    bits: Iterable[int],
    models: Iterable[str],
    graphs: Iterable[Graph] = ("complete", "sparse"),
) -> Iterator[Cell]:
    """Yields every cell once, the small ones first."""
    for size, length, dropout, width, model, graph in itertools.product(
        clients, lengths, dropouts, bits, models, graphs
    ):
        cell = Cell(size, length, dropout, width, model, graph)
        if cell.worth_running:
            yield cell
