"""Names that a door loads when they are first asked for, so that `import fl` stays quick."""

from collections.abc import Callable, Mapping
from importlib import import_module

__all__ = ["loader"]


def loader(door: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Returns a module's `__getattr__` (PEP 562) for names that live in the modules below it.

    Args:
        door: the package's `__name__`.
        homes: the module of each name, relative to the package.
    """

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {door!r} has no attribute {name!r}")
        return getattr(import_module(f"{door}.{homes[name]}"), name)

    return load
