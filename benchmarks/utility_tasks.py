"""What is learnt in the utility benchmark: digits over a hundred clients, heart disease over four real hospitals.

Both models are linear, with features that follow from public constants alone: nothing about the data leaks by way of
the preparation.
"""

import csv
import gzip
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fl.digits import load_digits

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

HEART = Path(__file__).parent / "data" / "heart_disease.csv.gz"
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Shard:
    """The examples of one client: features of shape (examples, features), labels of shape (examples,)."""

    features: Floats
    labels: Labels


@dataclass(frozen=True)
class Task:
    """A classification task, split for one seed."""

    clients: list[Shard]
    test: Shard
    classes: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.test.features.shape[1], self.classes

    def accuracy(self, weights: Floats) -> float:
        return float(np.mean((self.test.features @ weights).argmax(axis=1) == self.test.labels))


def digits(seed: int, clients: int, alpha: float | None) -> Task:
    """Digits, spread evenly (alpha None) or by a Dirichlet distribution of the labels; each picture of norm 1."""
    pixels, labels = load_digits()
    centred = pixels - pixels.mean(axis=1, keepdims=True)
    features = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    features = np.hstack([features, np.full((len(features), 1), 0.3)])
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    cut = int(TEST_SHARE * len(labels))
    test, train = order[:cut], order[cut:]
    shards: list[Labels]
    if alpha is None:
        shards = np.array_split(train, clients)
    else:
        places: list[list[int]] = [[] for _ in range(clients)]
        for label in range(10):
            own = generator.permutation(train[labels[train] == label])
            cuts = (np.cumsum(generator.dirichlet([alpha] * clients))[:-1] * len(own)).astype(int)
            for client, part in enumerate(np.split(own, cuts)):
                places[client] += part.tolist()
        shards = [np.array(part, dtype=np.int64) for part in places]
    return Task([Shard(features[part], labels[part]) for part in shards], Shard(features[test], labels[test]), 10)


def hospitals(seed: int) -> Task:
    """Heart disease or not, in four hospitals; features scaled by public constants, what is missing is 0."""
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(HEART.read_bytes()).decode())))
    features = np.array([_features(row) for row in rows])
    features /= np.maximum(1.0, np.linalg.norm(features, axis=1, keepdims=True) / 2)
    labels = np.array([int(row["num"]) > 0 for row in rows], dtype=np.int64)
    hospital = np.array([row["hospital"] for row in rows])
    order = np.random.default_rng(seed).permutation(len(rows))
    cut = int(TEST_SHARE * len(rows))
    test, train = order[:cut], order[cut:]
    shards = [train[hospital[train] == name] for name in sorted(set(hospital))]
    return Task([Shard(features[part], labels[part]) for part in shards], Shard(features[test], labels[test]), 2)


def _features(row: dict[str, str]) -> list[float]:
    values = [1.0]
    for name, middle, spread in (
        ("age", 55, 10), ("trestbps", 130, 20), ("chol", 240, 60), ("thalch", 140, 25), ("oldpeak", 1, 1),
    ):  # fmt: skip
        values.append((float(row[name]) - middle) / spread if row[name] else 0.0)
    for name, choices in (
        ("sex", ("Male",)),
        ("fbs", ("TRUE",)),
        ("exang", ("TRUE", "FALSE")),
        ("cp", ("asymptomatic", "non-anginal", "atypical angina", "typical angina")),
        ("restecg", ("lv hypertrophy", "st-t abnormality")),
        ("slope", ("flat", "upsloping", "downsloping")),
    ):
        values += [float(row[name] == choice) for choice in choices]
    return values


def probabilities(features: Floats, weights: Floats) -> Floats:
    scores = features @ weights
    scores -= scores.max(axis=1, keepdims=True)
    exponentials = np.exp(scores)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def local_update(weights: Floats, shard: Shard, steps: int) -> Floats:
    """The change of the weights by full-batch gradient descent on a client's examples."""
    local = weights.copy()
    for _ in range(steps):
        errors = probabilities(shard.features, local)
        errors[np.arange(len(shard.labels)), shard.labels] -= 1
        local -= shard.features.T @ errors / max(1, len(shard.labels))
    return local - weights


def example_updates(weights: Floats, shard: Shard) -> Floats:
    """The gradient step of every single example, shape (examples, entries of the weights)."""
    errors = probabilities(shard.features, weights)
    errors[np.arange(len(shard.labels)), shard.labels] -= 1
    return -(shard.features[:, :, None] * errors[:, None, :]).reshape(len(shard.labels), -1)
