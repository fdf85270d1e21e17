"""Every attack is played over the complete graph and over a sparse one, and within a pipeline."""

from collections.abc import Iterator

import pytest

from tests.kit.attack_scene import Scene


@pytest.fixture(autouse=True, params=[False, True, "pipelined"], ids=["complete", "sparse", "pipelined"])
def graph(request: pytest.FixtureRequest) -> Iterator[None]:
    Scene.sparse = request.param is True
    Scene.pipelined = request.param == "pipelined"
    Scene.made = 0
    yield
    Scene.sparse = Scene.pipelined = False
