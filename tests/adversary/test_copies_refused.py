"""A host copies or pickles a state or a session, which could then answer twice."""

import copy
import pickle
from collections.abc import Callable

import pytest

from secagg.errors import InvalidStateError
from secagg.params import AdversaryModel
from tests.kit.attack_scene import ACTIVE, VICTIM, Scene, both_models

WAYS: dict[str, Callable[[object], object]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle_{protocol}": lambda it, protocol=protocol: pickle.dumps(it, protocol) for protocol in range(6)},
}


@both_models
@pytest.mark.parametrize("way", WAYS)
def test_no_clients_session_or_state_is_copied(model: AdversaryModel, way: str):
    scene = Scene(model)
    while True:
        session = scene.clients[VICTIM]
        for original in (session, session._state):
            if original is not None:
                with pytest.raises(InvalidStateError, match="cannot be copied"):
                    WAYS[way](original)
        result = scene.exchange()
        if result is not None:
            break
    with pytest.raises(InvalidStateError):
        WAYS[way](scene.clients[VICTIM])
    scene.assert_exact(result)


@pytest.mark.parametrize("way", WAYS)
def test_no_servers_session_is_copied(way: str):
    # A copy could publish a second survivor set.
    scene = Scene(ACTIVE).until("masked_input")
    with pytest.raises(InvalidStateError):
        WAYS[way](scene.server)
