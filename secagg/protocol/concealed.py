"""Structures that are never shown: a log, a debugger's pretty printer or an error report gets their type alone."""

from typing import Any

import msgspec


class Concealed(msgspec.Struct, frozen=True):
    """Base of messages, and of what states hold. `repr` and rich's printer show the type and never the content."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # msgspec's own would show every field.
        return []
