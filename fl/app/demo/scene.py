"""The scene of the demo: who has which digits, who vanishes when, and how a client trains.

All of it comes from a seeded generator, so that a run can be repeated. Nothing secret does.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from fl import fedavg
from fl.app.demo.model import CLASSES, Floats, Labels, Model, train
from fl.app.demo.settings import DemoSettings
from fl.arrays.schema import NamedArrays
from fl.digits import load_digits
from secagg import Stage

__all__ = ["Scene", "Update", "answering", "applied", "draw_dropouts", "model_digest"]

LOCAL_EPOCHS: Final = 5

LEARNING_RATE: Final = 0.3
"""The step size of a client. Updates grow with it and the noise does not, so the private run learns more."""

TEST_SHARE: Final = 0.2

Examples = tuple[Floats, Labels]
Update = dict[str, npt.NDArray[np.float64]]
"""What a client's training changes, array by array."""


class Scene:
    """The data, dealt out.

    Args:
        settings: how many clients, and how unevenly the digits lie among them.
        generator: draws who has what.

    Attributes:
        training: all training examples.
        test: the examples that accuracies are measured on.
        parts: by client id, from 1, the places of its examples among `training`; there may be none.
    """

    def __init__(self, settings: DemoSettings, generator: np.random.Generator) -> None:
        self.training, self.test = _split(generator)
        self.parts = _partition(self.training[1], settings, generator)

    def central(self, model: Model, generator: np.random.Generator) -> Model:
        """Returns the model after a client's number of epochs on everybody's examples."""
        return train(model, *self.training, generator, epochs=LOCAL_EPOCHS, learning_rate=LEARNING_RATE)

    def update(self, model: Model, client: int, generator: np.random.Generator) -> Update:
        """Returns what one client's training changes; zeros if it has no examples."""
        features, labels = self.training
        mine = self.parts[client]
        trained = train(
            model, features[mine], labels[mine], generator, epochs=LOCAL_EPOCHS, learning_rate=LEARNING_RATE
        )
        delta = fedavg.client_delta(model, trained)
        return dict(delta) if isinstance(delta, dict) else {}


def draw_dropouts(settings: DemoSettings, generator: np.random.Generator) -> dict[str, frozenset[int]]:
    """Returns by stage the clients that vanish before they answer it."""
    stages = settings.adversary.stages
    leaving: dict[str, set[int]] = {stage: set() for stage in Stage}
    for client in range(1, settings.clients + 1):
        if generator.random() < settings.dropout:
            leaving[stages[generator.integers(len(stages))]].add(client)
    return {stage: frozenset(clients) for stage, clients in leaving.items()}


def answering(settings: DemoSettings, dropouts: Mapping[str, frozenset[int]]) -> dict[str, int]:
    """Returns by stage how many clients are still there to answer it."""
    counts: dict[str, int] = {}
    left = settings.clients
    for stage in settings.adversary.stages:
        left -= len(dropouts[stage])
        counts[stage] = left
    return counts


def applied(model: Model, mean: NamedArrays) -> Model:
    """Returns the model after the mean update."""
    result = fedavg.apply(model, mean)
    return dict(result) if isinstance(result, dict) else {}


def model_digest(model: Model) -> bytes:
    """Returns 32 bytes that stand for the model."""
    digest = hashlib.sha256()
    for name in sorted(model):
        digest.update(name.encode() + model[name].tobytes())
    return digest.digest()


def _split(generator: np.random.Generator) -> tuple[Examples, Examples]:
    features, labels = load_digits()
    order = generator.permutation(len(labels))
    cut = round(TEST_SHARE * len(order))
    test, training = order[:cut], order[cut:]
    floats = features.astype(np.float32)
    return (floats[training], labels[training]), (floats[test], labels[test])


def _partition(
    labels: Labels, settings: DemoSettings, generator: np.random.Generator
) -> dict[int, npt.NDArray[np.intp]]:
    """Deals the examples of each class over the clients in Dirichlet-drawn proportions (Hsu et al. 2019)."""
    shares: list[list[int]] = [[] for _ in range(settings.clients)]
    for digit in range(CLASSES):
        examples = generator.permutation(np.flatnonzero(labels == digit))
        proportions = generator.dirichlet(np.full(settings.clients, settings.alpha))
        cuts = (np.cumsum(proportions)[:-1] * len(examples)).astype(np.intp)
        for share, piece in zip(shares, np.split(examples, cuts), strict=True):
            share.extend(piece.tolist())
    return {client: np.array(share, np.intp) for client, share in enumerate(shares, start=1)}
