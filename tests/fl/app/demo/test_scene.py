"""The scene of the demo: who has which digits, who vanishes, and how a client trains."""

import numpy as np

from fl.app.demo.model import new_model
from fl.app.demo.scene import Scene, answering, applied, draw_dropouts, model_digest
from fl.app.demo.settings import DemoSettings
from secagg import Stage
from secagg.params import AdversaryModel


def test_clients_vanish_at_every_stage() -> None:
    settings = DemoSettings(clients=30, rounds=4, dropout=0.3, adversary=AdversaryModel.ACTIVE)
    generator = np.random.default_rng(0)
    drawn = [draw_dropouts(settings, generator) for _ in range(20)]
    assert all(any(dropouts[stage] for dropouts in drawn) for stage in Stage)
    counts = answering(settings, drawn[0])
    assert list(counts.values()) == [
        30 - sum(len(drawn[0][earlier]) for earlier in list(Stage)[: place + 1]) for place in range(len(Stage))
    ]


def test_every_example_is_dealt_to_one_client() -> None:
    scene = Scene(DemoSettings(clients=7), np.random.default_rng(1))
    dealt = np.concatenate(list(scene.parts.values()))
    assert sorted(scene.parts) == list(range(1, 8))
    assert sorted(dealt.tolist()) == list(range(len(scene.training[1])))
    assert len(scene.training[1]) + len(scene.test[1]) == 1797


def test_a_client_without_examples_changes_nothing() -> None:
    generator = np.random.default_rng(1)
    scene, model = Scene(DemoSettings(clients=4), generator), new_model(generator)
    scene.parts[2] = np.empty(0, np.intp)
    update = scene.update(model, 2, generator)
    assert all(not array.any() for array in update.values())
    assert model_digest(applied(model, update)) == model_digest(model)
    assert model_digest(applied(model, scene.update(model, 1, generator))) != model_digest(model)
