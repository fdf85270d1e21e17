"""Every attack is played over the complete graph and over a sparse one."""

from collections.abc import Iterator

import pytest

from tests.kit.attack_scene import Scene


@pytest.fixture(autouse=True, params=[False, True], ids=["complete", "sparse"])
def graph(request: pytest.FixtureRequest) -> Iterator[None]:
    Scene.sparse = request.param
    Scene.made = 0
    yield
    Scene.sparse = False
