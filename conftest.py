"""Profiles: how much of each test is run. `tests/README.md` tells how to choose one.

* `full`, the default: every case, and as many examples of a property as it says.
* `ci`: as much, and the same examples every time. It is chosen where the variable CI is set.
* `quick`: a tenth of the examples, the same every time, and the first and the last case of one test. It is what
  `make quick` runs on every save.

HYPOTHESIS_PROFILE=quick chooses one, and so does --hypothesis-profile quick.
"""

import os
from collections import defaultdict

import pytest
from hypothesis import settings

from tests.kit.second_line import minimum_accepted_at_the_invitation  # noqa: F401 - a fixture

# A property that names no number of its own gets hypothesis's.
EXAMPLES = 100
QUICK_EXAMPLES = 10

_SAME_EVERY_TIME = {"derandomize": True, "database": None, "print_blob": True}

settings.register_profile("full", max_examples=EXAMPLES)
settings.register_profile("ci", max_examples=EXAMPLES, deadline=None, **_SAME_EVERY_TIME)
settings.register_profile("quick", max_examples=QUICK_EXAMPLES, **_SAME_EVERY_TIME)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if "CI" in os.environ else "full"))


# Last, so that a test which was chosen by its name or mark is not thinned out before.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts slow tests first; at a smaller profile, drops cases, and examples of properties that name a number."""
    # First, so that no process waits in the end for another one's longest test.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    if settings.default.max_examples >= EXAMPLES:
        return
    kept, dropped = _thinned(items)
    for function in {getattr(item, "function", None) for item in kept}:
        _scale(function)
    items[:] = kept
    config.hook.pytest_deselected(items=dropped)


def _thinned(items: list[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Returns the first and the last case of every test, and the rest."""
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        cases[item.nodeid.partition("[")[0]].append(item)
    kept: set[pytest.Item] = set()
    for test in cases.values():
        kept.update((test[0], test[-1]))
    return [item for item in items if item in kept], [item for item in items if item not in kept]


def _scale(function: object) -> None:
    """Makes a property's own number of examples smaller by as much as the profile is smaller than `full`."""
    # Hypothesis keeps a test's settings here; a decorated test can be given others only by this name.
    own = getattr(function, "_hypothesis_internal_use_settings", None)
    if own is not None and own.max_examples > settings.default.max_examples:
        examples = max(1, own.max_examples * settings.default.max_examples // EXAMPLES)
        function._hypothesis_internal_use_settings = settings(own, max_examples=examples)  # type: ignore[attr-defined]
