"""A study for `secagg run`: handwritten digits, spread unevenly over many clients.

    pip install '.[demo]'
    secagg run examples/digits.toml

Replace the four methods by your own: who the clients are, the first model, what a client learns from its own data, and
how good a model is. Everything else is in the TOML file.
"""

# ruff: noqa: TID251 - the generator splits data, starts weights and orders examples, and makes no secret

import numpy as np
import numpy.typing as npt

from fl import load_digits
from fl.app.demo.model import CLASSES, accuracy, new_model, train
from fl.fedavg import client_delta
from fl.private import Contribution

Model = dict[str, npt.NDArray[np.float32]]


class Study:
    """Digits, a tenth of which nobody trains on.

    Args:
        clients: how many there are.
        alpha: the Dirichlet concentration of the labels over the clients; smaller is more uneven.
        epochs: passes over a client's own data in a round.
        learning_rate: of the clients.
        seed: of partition, first model and the order of the examples.
    """

    def __init__(
        self,
        clients: int = 50,
        alpha: float = 5.0,
        epochs: int = 5,
        learning_rate: float = 0.3,
        seed: int = 0,
    ) -> None:
        self._epochs = epochs
        self._learning_rate = learning_rate
        self._seed = seed
        generator = np.random.default_rng(seed)
        features, labels = load_digits()
        order = generator.permutation(len(labels))
        test, training = order[: len(order) // 10], order[len(order) // 10 :]
        self._features, self._labels = features.astype(np.float32), labels
        self._test = test
        self._parts = _partition(training, labels[training], clients, alpha, generator)

    def clients(self) -> range:
        """Clients are numbered from 1."""
        return range(1, len(self._parts) + 1)

    def initial_model(self) -> Model:
        """Random weights that everybody knows."""
        return new_model(np.random.default_rng(self._seed))

    def contribute(self, client: int, model: Model, round_number: int) -> Contribution:
        """Trains on the client's own digits, and hands in how the model changed."""
        part = self._parts[client - 1]
        # Any source of randomness will do here; this one makes runs alike, up to the noise.
        generator = np.random.default_rng([self._seed, client, round_number])
        trained = train(
            model,
            self._features[part],
            self._labels[part],
            generator,
            epochs=self._epochs,
            learning_rate=self._learning_rate,
        )
        return Contribution(client_delta(model, trained))

    def evaluate(self, model: Model) -> dict[str, float]:
        """Counts right answers on digits that no client has, so that this tells nothing about any of them."""
        return {"accuracy": accuracy(model, self._features[self._test], self._labels[self._test])}


def _partition(
    training: npt.NDArray[np.intp],
    labels: npt.NDArray[np.int64],
    clients: int,
    alpha: float,
    generator: np.random.Generator,
) -> list[npt.NDArray[np.intp]]:
    """Deals the examples of each class over the clients in Dirichlet-drawn proportions (Hsu et al. 2019)."""
    shares: list[list[int]] = [[] for _ in range(clients)]
    for digit in range(CLASSES):
        examples = training[labels == digit]
        proportions = generator.dirichlet(np.full(clients, alpha))
        cuts = (np.cumsum(proportions)[:-1] * len(examples)).astype(np.intp)
        for share, piece in zip(shares, np.split(examples, cuts), strict=True):
            share.extend(piece.tolist())
    return [np.array(share, np.intp) for share in shares]
