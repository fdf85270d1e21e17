"""The demo's model: a perceptron with one hidden layer, trained by plain gradient steps in numpy."""

from typing import Final

import numpy as np
import numpy.typing as npt

Model = dict[str, npt.NDArray[np.float32]]
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

PIXELS: Final = 64
CLASSES: Final = 10
HIDDEN: Final = 32


def new_model(generator: np.random.Generator) -> Model:
    """Returns a model with weights drawn as He et al. 2015 do, and zero biases."""

    def layer(*, inputs: int, outputs: int) -> Floats:
        return generator.standard_normal((inputs, outputs), np.float32) * np.float32(np.sqrt(2 / inputs))

    return {
        "hidden.weight": layer(inputs=PIXELS, outputs=HIDDEN),
        "hidden.bias": np.zeros(HIDDEN, np.float32),
        "output.weight": layer(inputs=HIDDEN, outputs=CLASSES),
        "output.bias": np.zeros(CLASSES, np.float32),
    }


def train(
    model: Model,
    features: Floats,
    labels: Labels,
    generator: np.random.Generator,
    *,
    epochs: int,
    learning_rate: float = 0.1,
    batch_size: int = 16,
) -> Model:
    """Returns a new model after some epochs of minibatch gradient descent on the cross-entropy.

    Args:
        model: where to start; not changed.
        features: float32, shape (examples, 64).
        labels: int64, shape (examples,).
        generator: orders the examples.
        epochs: passes over the examples.
        learning_rate: the step.
        batch_size: examples in one step.
    """
    trained = {name: array.copy() for name, array in model.items()}
    for _ in range(epochs):
        order = generator.permutation(len(labels))
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            for name, gradient in _gradients(trained, features[batch], labels[batch]).items():
                trained[name] -= np.float32(learning_rate) * gradient
    return trained


def accuracy(model: Model, features: Floats, labels: Labels) -> float:
    """Returns the share of examples that the model classifies rightly."""
    _, scores = _forward(model, features)
    return float(np.mean(scores.argmax(axis=1) == labels))


def _forward(model: Model, features: Floats) -> tuple[Floats, Floats]:
    hidden = np.maximum(features @ model["hidden.weight"] + model["hidden.bias"], np.float32(0))
    return hidden, hidden @ model["output.weight"] + model["output.bias"]


def _gradients(model: Model, features: Floats, labels: Labels) -> Model:
    hidden, scores = _forward(model, features)
    scores -= scores.max(axis=1, keepdims=True)
    errors = np.exp(scores)
    errors /= errors.sum(axis=1, keepdims=True)
    errors[np.arange(len(labels)), labels] -= np.float32(1)
    errors /= np.float32(len(labels))
    back = (errors @ model["output.weight"].T) * (hidden > 0)
    return {
        "hidden.weight": features.T @ back,
        "hidden.bias": back.sum(axis=0),
        "output.weight": hidden.T @ errors,
        "output.bias": errors.sum(axis=0),
    }
