"""The model of the demo learns, and one seed gives one model."""

import numpy as np

from fl.app.demo.model import accuracy, new_model, train
from fl.digits import load_digits


def test_it_learns_the_digits() -> None:
    features, labels = load_digits()
    floats, generator = features.astype(np.float32), np.random.default_rng(2)
    model = new_model(generator)
    trained = train(model, floats, labels, generator, epochs=5, learning_rate=0.3)
    # Ten classes: nothing learnt is about 0.1. Measured: 0.95 to 0.97.
    assert accuracy(model, floats, labels) < 0.4
    assert accuracy(trained, floats, labels) > 0.8


def test_one_seed_gives_one_model() -> None:
    one, other = (new_model(np.random.default_rng(5)) for _ in range(2))
    assert all((one[name] == other[name]).all() for name in one)
